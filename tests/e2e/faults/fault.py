"""A fault as a value, and the trial of one: what went in against what came out."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from ingest.bank_state import BankState
from ingest.kafka.readers import WholeTopicReader
from ingest.store import FsspecStore
from tests.e2e.faults.stream import frames_ends, whole
from tests.e2e.services import wait_until
from trainer.window import WindowIndex

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.faults.rig import Rig
    from tests.e2e.faults.stream import Seen

CALM_SECONDS = (0.5, 3.0)
"""Between two faults: the next one comes at a moment of its own."""


def nothing(rig: Rig) -> None:
    """Some faults end by themselves."""


def no_more(rig: Rig, seen: Seen) -> list[str]:  # noqa: ARG001 -- the signature of a check
    """Some faults ask for nothing but what every one does."""
    return []


@dataclass(frozen=True)
class Fault:
    """What goes wrong, for how long, how it ends, and what must be true then beside lost 0 and doubled 0."""

    name: str
    begin: Callable[[Rig, Random], None]
    lasts_seconds: tuple[float, float] = (0.0, 0.0)
    """Drawn evenly between the two."""
    end: Callable[[Rig], None] = nothing
    check: Callable[[Rig, Seen], list[str]] = no_more
    """Sentences about what is wrong afterwards."""
    trainer_lives: bool = False
    """Whether the trainer must come through it without a restart."""


@dataclass(frozen=True)
class Trial:
    """How one trial went; one line of a ledger."""

    fault: str
    seed: int
    sent: int
    """Records of `frames` that came in from its beginning to its end."""
    lost: int
    doubled: int
    recovery_seconds: float
    """From the end of the fault until every partition had a new committed answer; known to 0.1 s."""
    wrong: tuple[str, ...] = ()


def tried(fault: Fault, rig: Rig, seed: int, *, calm_seconds: tuple[float, float] = CALM_SECONDS) -> Trial:
    """Cause a fault at a moment drawn from the seed, wait until all is answered, and hold inputs against answers.

    Raises TimeoutError where frames stay unanswered, or a partition does not come back.
    """
    kafka, moments = rig.services.kafka, Random(f"{fault.name} {seed}")  # noqa: S311 -- moments, no secrets
    before, starts = frames_ends(kafka), rig.trainer.starts
    time.sleep(moments.uniform(*calm_seconds))
    fault.begin(rig, moments)
    time.sleep(moments.uniform(*fault.lasts_seconds))
    fault.end(rig)
    ended = time.monotonic()
    wait_until(lambda: rig.follower.all_partitions_answered_since(ended), f"an answer in every partition: {fault.name}")
    recovery = time.monotonic() - ended
    acknowledged, after = set(rig.feeder.acknowledged), frames_ends(kafka)
    wait_until(lambda: rig.follower.answered(after), f"an answer to every frame: {fault.name}")
    seen = whole(kafka)
    came = {(partition, offset) for partition, end in after.items() for offset in range(before[partition], end)}
    vanished = [place for place in acknowledged if place[1] >= after[place[0]]]
    wrong = [*fault.check(rig, seen), *wrong_with_training(rig)]
    if fault.trainer_lives and rig.trainer.starts != starts:
        wrong.append("the trainer ended")
    return Trial(
        fault=fault.name,
        seed=seed,
        sent=len(came),
        lost=sum(seen.count[place] == 0 for place in came) + len(vanished),
        doubled=sum(count > 1 for count in seen.count.values()),
        recovery_seconds=round(recovery, 1),
        wrong=tuple(wrong),
    )


def bank_states(rig: Rig) -> list[BankState]:
    """Every bank state that the topic holds."""
    kafka = rig.services.kafka
    with WholeTopicReader.open(kafka, topics=[kafka.topic("banks")], give_up_seconds=30) as reader:
        return [BankState.from_bytes(record.value or b"") for record in reader.stream_to_end(30)]


def wrong_with_training(rig: Rig) -> list[str]:
    """Every view has one state after the other, each by one writer, and a window holds a frame once."""
    wrong, epochs = list[str](), dict[str, list[int]]()
    for state in bank_states(rig):
        epochs.setdefault(state.view, []).append(state.epoch)
    for view, found in epochs.items():
        if found != sorted(set(found)):  # a compacted topic has gaps
            wrong.append(f"the epochs of {view} are {found}")
    store = FsspecStore.open(rig.services.store)
    for path in store.paths("windows"):
        if path.endswith("index.json"):
            frames = Counter((each.partition, each.offset) for each in WindowIndex.from_bytes(store.get(path)).frames)
            wrong += [f"{path} holds {place} twice" for place, count in frames.items() if count > 1]
    return wrong
