"""Faults of the recorder: it dies while it writes, and between what the database has and what Kafka is told of it."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from monitoring.record.database import Database
from monitoring.record.schema import decisions, minutes
from tests.e2e.services import wait_until

if TYPE_CHECKING:
    from random import Random

    from tests.e2e.faults.process import Point
    from tests.e2e.faults.rig import Member, Rig
    from tests.e2e.faults.stream import Seen

KILLS = 3
BETWEEN_SECONDS = (0.0, 2.0)


def recorder(rig: Rig) -> Member:
    """The rig's recorder, ready; begun with the first fault that needs it, it reads all decisions there are."""
    found = rig.members.get("record-a") or rig.add("record", "a")
    wait_until(lambda: found.ready, "the recorder becoming ready")
    found.wanted = True
    return found


def recorder_dies(point: Point, rig: Rig, moments: Random) -> None:
    """Kill -9 of the recorder at a point of its work, again and again; each time it is started anew."""
    member = recorder(rig)
    for _ in range(KILLS):
        starts = member.starts
        rig.tell("SIGKILL", point)
        wait_until(lambda: member.starts > starts, "its new start")  # noqa: B023 -- waited for at once
        time.sleep(moments.uniform(*BETWEEN_SECONDS))


def check_history(rig: Rig, seen: Seen) -> list[str]:
    """Each decision is in the database once, and counted once."""
    sent = {each.id for each in seen.decisions}
    wait_until(lambda: sent <= set(recorded(rig)[0]), "every decision being recorded")
    ids, counted = recorded(rig)
    doubled = [each for each, count in Counter(ids).items() if count > 1]
    wrong = [f"{len(doubled)} decisions are recorded twice"] if doubled else []
    return wrong + ([f"{counted} decisions of {len(ids)} are counted"] if counted != len(ids) else [])


def recorded(rig: Rig) -> tuple[list[str], int]:
    """The id of each recorded decision, and how many are counted by the minute, as of one moment."""
    counts = func.sum(minutes.c.passed + minutes.c.failed + minutes.c.undecided)
    with Database.open(rig.history) as database, database.reading() as connection:
        ids = list(connection.execute(select(decisions.c.id)).scalars())
        return ids, int(connection.execute(select(counts)).scalar_one() or 0)
