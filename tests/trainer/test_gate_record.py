"""The record of an examination: what is in it, and that nobody can change it unseen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ingest.annotation import Exemplar, FrameAnnotation, Label
from ingest.bank_signature import BankSigner, BankVerifier, NotSigned
from ingest.contract import SourceRecord
from softpatch.gate.measures import GateMeasures
from softpatch.gate.settings import GateSettings
from softpatch.gate.verdict import judged
from tests.ingest.bank_keys import key_files
from tests.trainer.views import AT, LATER
from trainer.gate_record import check_signature, gate_record

if TYPE_CHECKING:
    from pathlib import Path

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


def record(signer: BankSigner | None) -> bytes:
    """Of a bank that decides one of two golden frames wrongly."""
    verdict = judged(MEASURES, GateSettings())
    return gate_record(
        "c" * 64, MEASURES, verdict, GateSettings(), golden=(word("w-1"), word("w-2")), at=LATER, signer=signer
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


def test_a_signed_record_that_was_changed_is_told(tmp_path: Path) -> None:
    """By whoever has the public key; one that was never signed is none, nor is one by another key."""
    ours, others = key_files(tmp_path, "ours"), key_files(tmp_path, "others")
    verifier = BankVerifier.open([ours.public])
    signed = record(BankSigner.open(ours.private))
    check_signature(signed, verifier)
    changed = json.dumps({**json.loads(signed), "passed": True}).encode()
    for wrong in (changed, record(BankSigner.open(others.private)), record(None)):
        with pytest.raises(NotSigned):
            check_signature(wrong, verifier)
