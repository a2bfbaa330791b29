"""The record of an examination: what is in it, and that nobody can change it unseen."""

from __future__ import annotations

import json

from ingest.annotation import Exemplar, FrameAnnotation, Label
from ingest.contract import SourceRecord
from softpatch.gate.measures import GateMeasures
from softpatch.gate.settings import GateSettings
from softpatch.gate.verdict import judged
from tests.trainer.views import AT, LATER
from trainer.gate_record import gate_record, signature_check

MEASURES = GateMeasures(frames=50, noise_estimate=0.1, coverage=1.0, golden_wrong=["w-2"])


def word(identity: str) -> FrameAnnotation:
    """A red rabbit: a part that a person called defective."""
    exemplar = Exemplar(source=SourceRecord(topic="frames", partition=0, offset=3), frame_id="0-3", path="p")
    return FrameAnnotation(
        id=identity,
        label=Label.DEFECT,
        origin="feedback",
        exemplars=(exemplar,),
        who="ana",
        why="challenge part",
        at=AT,
        found_at=AT,
    )


def record(key: bytes | None) -> bytes:
    """Of a bank that decides one of two golden frames wrongly."""
    verdict = judged(MEASURES, GateSettings())
    return gate_record(
        "c" * 64, MEASURES, verdict, GateSettings(), golden=(word("w-1"), word("w-2")), at=LATER, key=key
    )


def test_a_record_names_every_golden_frame_and_whether_it_came_out_right() -> None:
    """With the verdict, the measures and the bounds that were in force."""
    written = json.loads(record(None))
    assert written["golden"] == [
        {"id": "w-1", "label": "defect", "who": "ana", "frames": ["0-3"], "right": True},
        {"id": "w-2", "label": "defect", "who": "ana", "frames": ["0-3"], "right": False},
    ]
    assert (written["passed"], written["bank"]) == (False, "c" * 64)
    assert written["breaches"] == ["1 words of people are not followed, 0 may be left: w-2"]
    assert written["bounds"]["golden_wrong"] == 0
    assert GateMeasures.model_validate(written["measures"]) == MEASURES


def test_a_signed_record_that_was_changed_is_told() -> None:
    """By whoever has the key; one that was never signed says so."""
    signed = record(b"the plant's key")
    changed = json.dumps({**json.loads(signed), "passed": True}).encode()
    assert signature_check(signed, b"the plant's key") == "right"
    assert signature_check(changed, b"the plant's key") == "wrong"
    assert signature_check(signed, b"another key") == "wrong"
    assert signature_check(record(None), b"the plant's key") == "none"
