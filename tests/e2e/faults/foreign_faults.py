"""Faults from outside: senders of another kind, messages written to break parsers, a disk that flips a bit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ingest.decision import Verdict
from ingest.frame import DeadLetterReason
from ingest.kafka.records import Outgoing
from ingest.kafka.writers import KafkaSender
from tests.e2e.faults.bank_faults import check_learning_goes_on
from tests.e2e.faults.stream import view_of
from tests.inference.sample_bank import jpeg

if TYPE_CHECKING:
    from random import Random

    from tests.e2e.faults.rig import Rig
    from tests.e2e.faults.stream import Seen

FOREIGN_HEADERS = (
    ("part-serial", "Gehäuse".encode("latin1")),
    ("captured-at", b"2026-11-28T14:00:00"),
    ("sequence", b"A-17"),
    ("uri", b"opc.tcp://plc-7/cell"),
    ("frame-id", b"x" * 1_100_000),
)
FOREIGN_VIEW, SERIAL_VIEWS, PARTS = "foreign/camera", "serial/SN", 60
NESTED = (b"[" * 100_000, b'{"view":' * 50_000, b"9" * 100_000)
MARKER = b"a bit of this flips"


def hostile_messages(rig: Rig, moments: Random) -> None:  # noqa: ARG001 -- the signature of a fault
    """Brackets a hundred thousand deep where commands and words of people are expected."""
    kafka = rig.services.kafka
    with KafkaSender.open(kafka) as sender:
        for topic in (kafka.topic("commands"), kafka.topic("feedback")):
            for value in NESTED:
                sender.send_and_wait(Outgoing(topic, view_of(0).encode(), value))


def foreign_headers(rig: Rig, moments: Random) -> None:
    """Whole pictures of a sender whose optional headers nobody can read."""
    topic = rig.services.kafka.topic("frames")
    with KafkaSender.open(rig.services.kafka) as sender:
        for _ in range(3):
            sender.send_and_wait(
                Outgoing(topic, FOREIGN_VIEW.encode(), jpeg(moments.randrange(100)), FOREIGN_HEADERS, partition=0)
            )


def check_decided(rig: Rig, seen: Seen) -> list[str]:  # noqa: ARG001 -- the signature of a check
    """Each has a decision, and none of them its headers."""
    of_it = [each for each in seen.decisions if each.view == FOREIGN_VIEW]
    wrong = [] if len(of_it) >= 3 else [f"{len(of_it)} of 3 frames are decided"]
    return wrong + ([] if all(each.part_serial is None for each in of_it) else ["a serial was read"])


def serial_numbers(rig: Rig, moments: Random) -> None:
    """Every part is a view of its own."""
    topic, first = rig.services.kafka.topic("frames"), moments.randrange(10_000)
    with KafkaSender.open(rig.services.kafka) as sender:
        for number in range(PARTS):
            sender.send(Outgoing(topic, f"{SERIAL_VIEWS}{first + number}".encode(), jpeg(number), partition=0))


def check_others_are_decided(rig: Rig, seen: Seen) -> list[str]:  # noqa: ARG001 -- the signature of a check
    """Parts of such a sender are undecided; frames of the lines are not, for it."""
    serial = [each for each in seen.decisions if each.view.startswith(SERIAL_VIEWS)]
    return [f"{each.view} is {each.verdict}" for each in serial if each.verdict is not Verdict.UNDECIDED]


def bit_flipped_on_disk(rig: Rig, moments: Random) -> None:
    """A bit of one record flips on the broker's disk before anybody has read it."""
    topic = rig.services.kafka.topic("frames")
    for member in rig.inspections:
        member.pause()
    rig.trainer.pause()
    with KafkaSender.open(rig.services.kafka) as sender:
        value = MARKER + moments.randbytes(100)
        sender.send_and_wait(Outgoing(topic, view_of(0).encode(), value, partition=0))
    for segment in (rig.broker.folder / "log").glob(f"{topic}-0/*.log"):
        at = segment.read_bytes().find(value)
        if at >= 0:
            with segment.open("r+b") as file:
                file.seek(at)
                file.write(bytes([value[0] ^ 1]))
    time.sleep(0.1)


def check_told(rig: Rig, seen: Seen) -> list[str]:
    """One dead letter says which offset cannot be read, and the trainer learns on."""
    letters = [each for each in seen.dead_letters if each.reason is DeadLetterReason.UNREADABLE]
    wrong = [] if letters else ["no dead letter says that a record is unreadable"]
    return wrong + check_learning_goes_on(rig, seen)
