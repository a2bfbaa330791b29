"""Faults of stores: pictures that are claimed and not there, and a store that is gone for a while."""

from __future__ import annotations

import hashlib
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING

from ingest.decision import Verdict
from ingest.frame import DeadLetterReason
from ingest.kafka.records import Outgoing
from ingest.kafka.writers import KafkaSender
from tests.e2e.faults.stream import whole
from tests.e2e.services import wait_until
from tests.inference.sample_bank import jpeg

if TYPE_CHECKING:
    from random import Random

    from tests.e2e.faults.rig import Rig
    from tests.e2e.faults.stream import Seen

CLAIMING_VIEW = "claiming/camera"
LATE_SECONDS = 0.3
CLAIMED = 3
REASONS = {DeadLetterReason.CLAIM_MISSING, DeadLetterReason.CLAIM_DIFFERS, DeadLetterReason.CLAIM_REFUSED}


def claims(rig: Rig, moments: Random) -> None:
    """Pictures that are there, one that comes late, and others that are missing, changed, or not to be read."""
    rig.claimed.mkdir(exist_ok=True)
    picture, number = jpeg(moments.randrange(100)), moments.randrange(10**9)
    right = hashlib.sha256(picture).hexdigest()
    there, late = rig.claimed / f"{number}.jpg", rig.claimed / f"{number}-late.jpg"
    there.write_bytes(picture)
    Timer(LATE_SECONDS, late.write_bytes, [picture]).start()
    wanted = [(there, right)] * CLAIMED + [
        (late, right),
        (rig.claimed / f"{number}-gone.jpg", right),
        (there, "0" * 64),
        (rig.claimed / ".." / "patchline.yaml", right),
        (Path("/etc/passwd"), right),
    ]
    topic, size = rig.services.kafka.topic("frames"), str(len(picture)).encode()
    with KafkaSender.open(rig.services.kafka) as sender:
        for path, sha256 in wanted:
            headers = (("uri", str(path).encode()), ("sha256", sha256.encode()), ("size", size))
            sender.send_and_wait(Outgoing(topic, CLAIMING_VIEW.encode(), None, headers, partition=0))


def check_claims(rig: Rig, seen: Seen) -> list[str]:  # noqa: ARG001 -- the signature of a check
    """Those that are there are decided, the late one, too; each of the others is a dead letter with its reason."""
    decided = sum(each.view == CLAIMING_VIEW for each in seen.decisions)
    reasons = {each.reason for each in seen.dead_letters if each.view == CLAIMING_VIEW}
    wrong = [] if decided and decided % (CLAIMED + 1) == 0 else [f"{decided} claiming frames are decided"]
    return wrong + ([] if reasons == REASONS else [f"their dead letters say {sorted(reasons)}"])


def store_gone(rig: Rig, moments: Random) -> None:  # noqa: ARG001 -- the signature of a fault
    """In the store's place lies a file: nothing can be read there, nor written; banks are in force by then."""
    kafka = rig.services.kafka
    wait_until(lambda: any(each.bank for each in whole(kafka).decisions), "a decision by a bank")
    store = Path(rig.services.store)
    store.rename(store.with_name("store-away"))
    store.write_bytes(b"")


def store_back(rig: Rig) -> None:
    """All that was in it."""
    store = Path(rig.services.store)
    store.unlink()
    store.with_name("store-away").rename(store)


def check_verdicts_go_on(rig: Rig, seen: Seen) -> list[str]:  # noqa: ARG001 -- the signature of a check
    """The banks in force are in memory."""
    return [] if any(each.verdict is not Verdict.UNDECIDED for each in seen.decisions) else ["no frame has a verdict"]
