"""Clocks that jump: a process that lives by a clock of its own, set by a file while it runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.decision import Reason
from ingest.frame import DeadLetterReason
from tests.e2e.faults.fault import bank_states
from tests.e2e.services import wait_until

if TYPE_CHECKING:
    from random import Random

    from tests.e2e.faults.rig import Member, Rig
    from tests.e2e.faults.stream import Seen

LIBRARIES = ("/usr/lib", "/usr/local/lib", "/lib")
LIBRARY = "libfaketimeMT.so.1"
JUMPS_HOURS = (2.0, 72.0)
"""Beyond the hour that a broker lets a sender's clock be ahead, and beyond every deadline."""
WRONG = timedelta(hours=1)


def libfaketime() -> Path | None:
    """Where libfaketime lies; None where it is not installed."""
    found = chain.from_iterable(Path(each).glob(f"**/faketime/{LIBRARY}") for each in LIBRARIES)
    return next(found, None)


def set_ahead(rig: Rig, member: Member, hours: float) -> None:
    """Set a member's clock ahead of ours, or behind; it notices within a second."""
    _file(rig, member).write_text(f"{round(hours * 3600):+d}\n")


def set_right(rig: Rig) -> None:
    """All clocks jump to the right time."""
    for member in rig.members.values():
        if member.environ:
            set_ahead(rig, member, 0)


def inspection_clock_jumps(rig: Rig, moments: Random) -> None:
    """The clock of an inspection, forward or backward; over once it has told that it is not to be trusted."""
    member = moments.choice([each for each in rig.inspections if each.wanted])
    _give_clock(rig, member)
    set_ahead(rig, member, _hours(moments))
    wait_until(
        lambda: rig.follower.saw(lambda decision: decision.reason is Reason.CLOCK),
        "a frame undecided for the clock",
    )


def trainer_clock_jumps(rig: Rig, moments: Random) -> None:
    """The trainer's clock, forward or backward; over once it has published a state by the wrong time."""
    _give_clock(rig, rig.trainer)
    set_ahead(rig, rig.trainer, _hours(moments))
    wait_until(lambda: any(_wrong(each.at) for each in bank_states(rig)), "a bank state by the wrong time")


def check_decided_all_the_same(rig: Rig, seen: Seen) -> list[str]:  # noqa: ARG001 -- the signature of a check
    """A wrong time is no reason to give a frame back, and no frame's age is measured by it."""
    corrupt = [each for each in seen.dead_letters if each.reason is DeadLetterReason.CORRUPT]
    wrong = [each for each in seen.decisions if _differ(each.decided_at, each.appended_at)]
    return [f"{each.source} is a dead letter: {each.detail}" for each in corrupt] + [
        f"{each.source} was decided at {each.decided_at}" for each in wrong
    ]


def _give_clock(rig: Rig, member: Member) -> None:
    """Have a member run by a clock that a file sets, which takes a restart in good order."""
    if member.environ:
        return
    library = libfaketime()
    if library is None:
        raise RuntimeError("libfaketime is not installed; on Debian: apt-get install faketime")
    member.environ = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(_file(rig, member)),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    set_ahead(rig, member, 0)
    member.restart()


def _file(rig: Rig, member: Member) -> Path:
    return rig.services.folder / f"{member.name}.clock"


def _hours(moments: Random) -> float:
    return moments.choice((-1, 1)) * moments.uniform(*JUMPS_HOURS)


def _differ(one: datetime, other: datetime) -> bool:
    return abs(one - other) > WRONG


def _wrong(moment: datetime) -> bool:
    return _differ(moment, datetime.now(UTC))
