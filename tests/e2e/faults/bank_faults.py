"""Faults of the store and of the banks in it: no room, damage, banks that are not for here, a compacted topic."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from ingest.bank_state import BankState
from ingest.decision import Verdict
from ingest.kafka.connecting import client_options
from ingest.kafka.records import Outgoing
from ingest.kafka.writers import KafkaSender
from ingest.store import FsspecStore
from softpatch.bank import bank_from_bytes, bank_version
from tests.e2e.faults.fault import bank_states
from tests.e2e.services import wait_until
from tests.inference.sample_bank import stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from softpatch.bank import Bank
    from tests.e2e.faults.rig import Member, Rig
    from tests.e2e.faults.stream import Seen

FAULT = "a fault"
"""Who put a bank in force that is not for here."""


def disk_full(rig: Rig, moments: Random) -> None:  # noqa: ARG001 -- the signature of a fault
    """No file of the trainer, or of a build it starts, may grow beyond 1 KiB: neither windows nor banks have room."""
    resource.prlimit(rig.trainer.running().pid, resource.RLIMIT_FSIZE, (1024, resource.RLIM_INFINITY))


def disk_free(rig: Rig) -> None:
    """Room again."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(rig.trainer.running().pid, resource.RLIMIT_FSIZE, unlimited)


def no_room_for_a_bank(rig: Rig, moments: Random) -> None:
    """A build that began with room ends without: its bank waits for room in the store."""
    so_far = rig.trainer.log.stat().st_size
    wait_until(lambda: b"build_started" in rig.trainer.log.read_bytes()[so_far:], "a build")
    disk_full(rig, moments)
    wait_until(lambda: b"doing=builds" in rig.trainer.log.read_bytes()[so_far:], "a bank without room")


def promoted_again(rig: Rig) -> None:
    """Waits until a bank comes into force."""
    so_far = rig.trainer.log.stat().st_size
    wait_until(lambda: b"kind=promoted" in rig.trainer.log.read_bytes()[so_far:], "a bank after the fault")


def check_learning_goes_on(rig: Rig, seen: Seen) -> list[str]:  # noqa: ARG001 -- the signature of a check
    """Banks come into force again."""
    promoted_again(rig)
    return []


def dies_with_a_bank(rig: Rig, moments: Random) -> None:  # noqa: ARG001 -- the signature of a fault
    """Kill -9 of the trainer when a bank file is in the store and no state names it yet."""
    starts = rig.trainer.starts
    rig.tell("SIGKILL", "between bank file and bank state")
    wait_until(lambda: rig.trainer.starts > starts, "its new start")


def check_every_bank_named_is_there(rig: Rig, seen: Seen) -> list[str]:  # noqa: ARG001 -- the signature of a check
    """A bank comes into force after the restart, and no view's state names a file that is not in the store."""
    promoted_again(rig)
    last = {each.view: each for each in bank_states(rig)}
    banks = [each.active for each in last.values() if each.active]
    return [f"{bank.uri} is not in the store" for bank in banks if not (Path(rig.services.store) / bank.uri).exists()]


def bank_damaged(damage: Callable[[bytes], bytes], rig: Rig, moments: Random) -> None:  # noqa: ARG001 -- a fault's
    """The file of the bank in force is not what it was, and all inspections start anew and refuse it."""
    wait_until(lambda: any(each.active for each in bank_states(rig)), "a bank")
    rig.trainer.pause()
    active = [each.active for each in bank_states(rig) if each.active][-1]
    file = Path(rig.services.store) / active.uri
    file.write_bytes(damage(file.read_bytes()))
    with all_refusing(rig) as inspections:
        for member in inspections:
            member.kill_and_wait()


def cut(data: bytes) -> bytes:
    """The second half is missing."""
    return data[: len(data) // 2]


def bit_flipped(data: bytes) -> bytes:
    """One bit in the middle is another one."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@contextmanager
def all_refusing(rig: Rig) -> Iterator[list[Member]]:
    """The inspections; left once every one of them has said that it refuses a bank."""
    inspections = [each for each in rig.inspections if each.wanted]
    so_far = {each.name: each.log.stat().st_size for each in inspections}
    yield inspections
    for each in inspections:
        wait_until(
            lambda each=each: b"bank_refused" in each.log.read_bytes()[so_far[each.name] :],  # type: ignore[misc]
            f"{each.name} refusing the bank",
        )


def named_in_force(spoilt: Callable[[Bank], Bank], rig: Rig, moments: Random) -> None:
    """While there is no trainer, `banks` names a bank that is not for here; one inspection has to start without it."""
    wait_until(lambda: bool(_sound_states(rig)), "a bank")
    rig.trainer.wanted = False
    rig.trainer.kill()
    before = moments.choice(_sound_states(rig))
    with all_refusing(rig) as inspections:
        _put_in_force(rig, before, spoilt)
    moments.choice(inspections).kill_and_wait()


def trainer_back(rig: Rig) -> None:
    """There is a trainer again."""
    rig.trainer.start()
    rig.trainer.wanted = True


def other_graph(bank: Bank) -> Bank:
    """It was built on another network."""
    return replace(bank, manifest=bank.manifest.model_copy(update={"graph_hash": "f" * 64}))


def other_probes(bank: Bank) -> Bank:
    """Its probes score otherwise here than where it was built."""
    return replace(bank, probe_scores=bank.probe_scores * np.float32(1.1))


def check_the_one_before_goes_on(rig: Rig, seen: Seen) -> list[str]:
    """No frame is decided by a bank that is not for here; frames of its view are, by the bank before."""
    promoted_again(rig)
    wrong = []
    for state in [each for each in bank_states(rig) if each.by == FAULT and each.active and each.previous]:
        verdicts = {
            each.bank.version: each.verdict
            for each in seen.decisions
            if each.view == state.view and each.bank and each.decided_at > state.at
        }
        if state.active.version in verdicts:  # type: ignore[union-attr]  # see above
            wrong.append(f"a bank decided frames of {state.view} although this is so: {state.why}")
        if verdicts.get(state.previous.version) not in (Verdict.PASS, Verdict.FAIL):  # type: ignore[union-attr]
            wrong.append(f"the bank before does not decide {state.view}")
    return wrong


def _sound_states(rig: Rig) -> list[BankState]:
    """Of each view with a bank its last state, unless an earlier fault left that bank damaged."""
    last = {each.view: each for each in bank_states(rig)}
    store = FsspecStore.open(rig.services.store)
    return [
        each
        for each in last.values()
        if each.active and bank_version(store.get(each.active.uri)) == each.active.version
    ]


def _put_in_force(rig: Rig, before: BankState, spoilt: Callable[[Bank], Bank]) -> None:
    store = FsspecStore.open(rig.services.store)
    bank = spoilt(bank_from_bytes(store.get(before.active.uri)))  # type: ignore[union-attr]  # it has one
    changes = {"active": stored(store, bank).in_force, "previous": before.active, "epoch": before.epoch + 1}
    said = {"by": FAULT, "why": f"{spoilt.__doc__}", "at": datetime.now(UTC)}
    state = BankState.model_validate({**before.model_dump(), **changes, **said})
    with KafkaSender.open(rig.services.kafka) as sender:
        sender.send_and_wait(Outgoing(rig.services.kafka.topic("banks"), state.view.encode(), state.to_bytes()), 30)


def banks_compacted(rig: Rig, moments: Random) -> None:  # noqa: ARG001 -- the signature of a fault
    """`banks` loses the states that later ones replace, and all inspections read it anew."""
    kafka = rig.services.kafka
    wait_until(lambda: any(each.active for each in bank_states(rig)), "a bank")
    before = _first_epochs(rig)
    wanted = {"segment.ms": "500", "min.cleanable.dirty.ratio": "0.01", "max.compaction.lag.ms": "500"}
    admin = KafkaAdminClient(**client_options(kafka))
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, kafka.topic("banks"), configs=wanted)])
    admin.close()
    wait_until(
        lambda: any(first > before.get(view, first) for view, first in _first_epochs(rig).items()), "a compaction"
    )
    for member in [each for each in rig.inspections if each.wanted]:
        member.kill_and_wait()


def _first_epochs(rig: Rig) -> dict[str, int]:
    """Of each view, the earliest state that `banks` still holds."""
    first: dict[str, int] = {}
    for state in bank_states(rig):
        first.setdefault(state.view, state.epoch)
    return first
