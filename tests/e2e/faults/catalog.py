"""The faults, by name."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from ingest.decision import Reason
from ingest.frame import DeadLetterReason
from ingest.kafka.errors import SendFailed
from ingest.kafka.records import Outgoing
from ingest.kafka.writers import KafkaSender
from tests.e2e.faults.bank_faults import (
    bank_damaged,
    banks_compacted,
    bit_flipped,
    check_every_bank_named_is_there,
    check_learning_goes_on,
    check_the_one_before_goes_on,
    cut,
    dies_with_a_bank,
    disk_free,
    disk_full,
    named_in_force,
    no_room_for_a_bank,
    other_graph,
    other_probes,
    trainer_back,
)
from tests.e2e.faults.clocks import (
    check_decided_all_the_same,
    inspection_clock_jumps,
    set_right,
    trainer_clock_jumps,
)
from tests.e2e.faults.fault import Fault
from tests.e2e.faults.foreign_faults import (
    bit_flipped_on_disk,
    check_decided,
    check_others_are_decided,
    check_told,
    foreign_headers,
    hostile_messages,
    serial_numbers,
)
from tests.e2e.faults.recorder_faults import check_history, recorder_dies
from tests.e2e.faults.store_faults import check_claims, check_verdicts_go_on, claims, store_back, store_gone
from tests.e2e.faults.stream import view_of
from tests.e2e.services import wait_until
from tests.inference.sample_bank import jpeg
from tests.ingest.pictures import deep_png, scan_bomb

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from tests.e2e.faults.process import Point
    from tests.e2e.faults.rig import Member, Rig
    from tests.e2e.faults.stream import Seen

BEYOND_SESSION = (12.0, 15.0)
"""Longer than the session and the transaction timeout, which are 10 s."""
STORM_VIEW, STORM_FRAMES = "storm/camera", 40
COSTLY_VIEW, COSTLY_SCANS = "costly/camera", 3
LARGE_FRAME_ID = b"too large"


def one(rig: Rig, moments: Random) -> Member:
    """An inspection."""
    return moments.choice([each for each in rig.inspections if each.wanted])


def dies(point: Point, rig: Rig, moments: Random) -> None:  # noqa: ARG001 -- the signature of a fault
    """An inspection dies at a point of a transaction, and is started again."""
    starts = sum(each.starts for each in rig.inspections)
    rig.tell("SIGKILL", point)
    wait_until(lambda: sum(each.starts for each in rig.inspections) > starts, "its new start")


def stops_in_a_transaction(rig: Rig, moments: Random) -> None:
    """An inspection stands still while a transaction of its own is open."""
    rig.tell("SIGSTOP", moments.choice(("after send", "inside commit")))


def resume_all(rig: Rig) -> None:
    """SIGCONT to every member; those that run do not mind."""
    for member in rig.members.values():
        if member.wanted:
            member.resume()


def killed_while_building(rig: Rig, moments: Random) -> None:  # noqa: ARG001 -- the signature of a fault
    """Kill -9 of the trainer while a build of its own runs."""
    so_far = rig.trainer.log.stat().st_size
    wait_until(lambda: b"build_started" in rig.trainer.log.read_bytes()[so_far:], "a build")
    rig.trainer.kill_and_wait()


def broker_killed(rig: Rig, moments: Random) -> None:  # noqa: ARG001 -- the signature of a fault
    """Kill -9 of the broker."""
    rig.broker.kill()


def broker_killed_inside_a_transaction(rig: Rig, moments: Random) -> None:
    """Kill -9 of the broker while an inspection stands still with a transaction open; then it goes on."""
    stops_in_a_transaction(rig, moments)
    rig.broker.kill()
    resume_all(rig)


def broker_back(rig: Rig) -> None:
    """Started again on its data; over when it takes connections."""
    rig.broker.start()


def comes_and_goes(rig: Rig, moments: Random) -> None:
    """A third inspection joins and leaves, three times."""
    member = rig.add("inspect", f"guest{len(rig.members)}")
    for visit in range(3):
        if visit:
            member.start()
        wait_until(lambda: member.ready, "the guest becoming ready")
        time.sleep(moments.uniform(1, 3))
        member.leave()


def slow(rig: Rig, moments: Random) -> None:
    """An inspection that stands still half of the time, for ten seconds."""
    member = one(rig, moments)
    for _ in range(10):
        member.pause()
        time.sleep(0.5)
        member.resume()
        time.sleep(0.5)


def rolling_restart(rig: Rig, moments: Random) -> None:  # noqa: ARG001 -- the signature of a fault
    """Every inspection is stopped in good order and started anew, one after the other."""
    for member in [each for each in rig.inspections if each.wanted]:
        member.restart()


def send(rig: Rig, records: Sequence[Outgoing]) -> None:
    """Put records beside the frames that flow."""
    with KafkaSender.open(rig.services.kafka) as sender:
        for each in records:
            sender.send(each)


def frame(
    rig: Rig, value: bytes | None, *, key: str | None = None, headers: tuple[tuple[str, bytes], ...] = ()
) -> Outgoing:
    """A record of `frames`."""
    return Outgoing(rig.services.kafka.topic("frames"), key.encode() if key else None, value, headers, partition=0)


def poison(rig: Rig, moments: Random) -> None:
    """Records that are no frames, of every kind that is not told before decoding."""
    cut = jpeg(moments.randrange(100))
    send(rig, [frame(rig, cut[: len(cut) // 2], key=view_of(0)), frame(rig, b"", key=view_of(0)), frame(rig, cut)])
    send(rig, [frame(rig, cut[: len(cut) // 2] + b"\xff\xd9", key=view_of(0))])


def costly(rig: Rig, moments: Random) -> None:  # noqa: ARG001 -- the signature of a fault
    """Small records that took a decoder minutes, or half a gigabyte, from a view among the others."""
    scans, pixels = scan_bomb(side_px=7064, scans=2647), deep_png(width_px=6000, height_px=5000)
    send(rig, [frame(rig, each, key=COSTLY_VIEW) for each in (scans, pixels, scans, pixels, scans, pixels)])


def check_costly(rig: Rig, seen: Seen) -> list[str]:  # noqa: ARG001 -- the signature of a check
    """Every scan bomb is told by its header, and no frame of another view is late for the rest."""
    told = [each for each in seen.dead_letters if each.view == COSTLY_VIEW]
    unlike = {each.reason for each in told} - {DeadLetterReason.TOO_COSTLY}
    late = [each for each in seen.decisions if each.reason is Reason.DEADLINE and each.view != COSTLY_VIEW]
    wrong = [f"{len(told)} dead letters for the scan bombs"] if len(told) < COSTLY_SCANS else []
    return (
        wrong
        + [f"{len(late)} frames of other views are late"] * bool(late)
        + [f"dead letters say {unlike}"] * bool(unlike)
    )


def check_poison(rig: Rig, seen: Seen) -> list[str]:  # noqa: ARG001 -- the signature of a check
    """Each has its reason."""
    reasons = {each.reason for each in seen.dead_letters}
    wanted = {
        DeadLetterReason.TRUNCATED,
        DeadLetterReason.EMPTY,
        DeadLetterReason.NO_KEY,
        DeadLetterReason.CORRUPT,
    }
    return [f"no dead letter says {reason}" for reason in wanted - reasons]


def oversized(rig: Rig, moments: Random) -> None:  # noqa: ARG001 -- the signature of a fault
    """A frame larger than the topic takes; who sends it is told."""
    with KafkaSender.open(rig.services.kafka) as sender:
        try:
            sender.send_and_wait(frame(rig, bytes(11 * 2**20), key=view_of(0), headers=(("frame-id", LARGE_FRAME_ID),)))
        except SendFailed:
            return
    raise RuntimeError("the broker took a frame of 11 MiB")


def storm(rig: Rig, moments: Random) -> None:  # noqa: ARG001 -- the signature of a fault
    """A view that sends nothing but rubbish, and then one good frame."""
    send(rig, [frame(rig, b"rubbish", key=STORM_VIEW) for _ in range(STORM_FRAMES)])
    send(rig, [frame(rig, jpeg(0), key=STORM_VIEW)])


def check_storm(rig: Rig, seen: Seen) -> list[str]:  # noqa: ARG001 -- the signature of a check
    """The others' verdicts do not suffer, though they share a partition."""
    others = [each for each in seen.decisions if each.reason is Reason.DEAD_LETTER_RATE and each.view != STORM_VIEW]
    letters = sum(each.view == STORM_VIEW for each in seen.dead_letters)
    wrong = [f"{len(others)} frames of other views are undecided for it"] if others else []
    return wrong + ([f"{letters} dead letters for {STORM_FRAMES} records"] if letters % STORM_FRAMES else [])


FAULTS: dict[str, Fault] = {
    each.name: each
    for each in (
        Fault("inspection killed before send", partial(dies, "before send")),
        Fault("inspection killed after send", partial(dies, "after send")),
        Fault("inspection killed inside commit", partial(dies, "inside commit")),
        Fault(
            "inspection paused beyond its session",
            lambda rig, moments: one(rig, moments).pause(),
            BEYOND_SESSION,
            resume_all,
        ),
        Fault("inspection paused inside a transaction", stops_in_a_transaction, BEYOND_SESSION, resume_all),
        Fault("trainer paused beyond its session", lambda rig, _: rig.trainer.pause(), BEYOND_SESSION, resume_all),
        Fault("trainer killed while building", killed_while_building),
        Fault(
            "trainer killed between bank file and bank state", dies_with_a_bank, check=check_every_bank_named_is_there
        ),
        Fault("broker killed", broker_killed, (0.5, 3.0), broker_back),
        Fault("broker killed inside a transaction", broker_killed_inside_a_transaction, (0.5, 3.0), broker_back),
        Fault(
            "broker paused beyond the timeouts",
            lambda rig, _: rig.broker.pause(),
            BEYOND_SESSION,
            lambda rig: rig.broker.resume(),
        ),
        Fault(
            "no room for windows and banks",
            disk_full,
            (8.0, 12.0),
            disk_free,
            check_learning_goes_on,
            trainer_lives=True,
        ),
        Fault(
            "no room for a bank",
            no_room_for_a_bank,
            (1.0, 3.0),
            disk_free,
            check_learning_goes_on,
            trainer_lives=True,
        ),
        Fault(
            "the bank in force truncated",
            partial(bank_damaged, cut),
            (1.0, 3.0),
            resume_all,
            check_learning_goes_on,
        ),
        Fault(
            "the bank in force with a bit flipped",
            partial(bank_damaged, bit_flipped),
            (1.0, 3.0),
            resume_all,
            check_learning_goes_on,
        ),
        Fault(
            "a bank of another graph in force",
            partial(named_in_force, other_graph),
            (2.0, 4.0),
            trainer_back,
            check_the_one_before_goes_on,
        ),
        Fault(
            "a bank in force whose probes disagree",
            partial(named_in_force, other_probes),
            (2.0, 4.0),
            trainer_back,
            check_the_one_before_goes_on,
        ),
        Fault("banks compacted, read anew", banks_compacted),
        Fault("a member joins and leaves", comes_and_goes),
        Fault("a slow consumer", slow),
        Fault("rolling restart", rolling_restart),
        Fault(
            "the clock of an inspection jumps",
            inspection_clock_jumps,
            (1.0, 3.0),
            set_right,
            check_decided_all_the_same,
        ),
        Fault("the clock of the trainer jumps", trainer_clock_jumps, (1.0, 3.0), set_right, check_learning_goes_on),
        Fault("poison frames", poison, check=check_poison),
        Fault("pictures that cost too much to decode", costly, check=check_costly),
        Fault("an oversized frame", oversized),
        Fault("a storm of dead letters in one view", storm, check=check_storm),
        Fault("messages that break parsers", hostile_messages, check=check_learning_goes_on, trainer_lives=True),
        Fault("foreign headers", foreign_headers, check=check_decided, trainer_lives=True),
        Fault("serial numbers in the key", serial_numbers, check=check_others_are_decided, trainer_lives=True),
        Fault("claimed pictures, late, missing and changed", claims, check=check_claims, trainer_lives=True),
        Fault(
            "the store gone",
            store_gone,
            (8.0, 12.0),
            store_back,
            lambda rig, seen: [*check_verdicts_go_on(rig, seen), *check_learning_goes_on(rig, seen)],
            trainer_lives=True,
        ),
        Fault(
            "recorder killed inside a write",
            partial(recorder_dies, "inside a write to the database"),
            check=check_history,
        ),
        Fault(
            "recorder killed between database and offsets",
            partial(recorder_dies, "between database and offsets"),
            check=check_history,
        ),
        Fault("a bit flipped on the broker's disk", bit_flipped_on_disk, (0.1, 0.5), resume_all, check_told),
    )
}
