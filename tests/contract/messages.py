"""One full and one sparse example of every JSON message of version 1: the source of the golden files.

`python -m tests.contract.messages FOLDER` writes them. Version 1's files are never written again: a change that alters
them breaks readers in the field.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from ingest.annotation import Exemplar, FrameAnnotation, Label
from ingest.bank_event import BankEvent, BankEventKind
from ingest.bank_state import BankInForce, BankState, ViewState
from ingest.command import Command, CommandKind
from ingest.contract import Message, SourceRecord
from ingest.decision import (
    BankRef,
    Decision,
    DefectRegion,
    ImageFacts,
    NearestPatch,
    Reason,
    SmallMap,
    Verdict,
    decision_id,
)
from ingest.drift_event import DriftEvent, DriftEventKind
from ingest.feedback import Feedback, FeedbackKind

AT = datetime(2026, 11, 24, 6, 30, 15, 250_000, tzinfo=UTC)
VERSION = "a1" * 32
GRAPH = "b2" * 32
SOURCE = SourceRecord(topic="frames", partition=3, offset=41)
IN_FORCE = BankInForce(
    version=VERSION,
    uri="banks/line-1%2Fcam-2/x.safetensors",
    graph_hash=GRAPH,
    threshold=3.5,
    low_limit=3.0,
    high_limit=4,
)


def examples() -> dict[str, Message]:
    """Every message by the name of its golden file."""
    view = "line-1/cam-2@gasket"
    return {
        "decision-fail": Decision(
            id=decision_id(view, "c0ffee-17"),
            view=view,
            frame_id="c0ffee-17",
            source=SOURCE,
            verdict=Verdict.FAIL,
            provisional=True,
            score=7.0,
            threshold=3.5,
            score_ratio=2.0,
            bank=BankRef(version=VERSION, epoch=2),
            regions=(DefectRegion(box_xyxy_px=(10.0, 20.0, 58.5, 44.0), peak_ratio=1.75),),
            anomaly_map=SmallMap(rows=1, columns=2, maximum=7.0, values_base64="AP8="),
            nearest=NearestPatch(source_frame="c0ffee-3", row=4, column=27),
            image=ImageFacts(brightness=101.5, contrast=33.25, sharpness=12.0, dark_ratio=0.125, saturated_ratio=0.0),
            size_wh_px=(512, 384),
            difference_hash="00ff00ff00ff00ff",
            change_bits=5,
            sketch=tuple(float(i) / 4 for i in range(32)),
            sequence=17,
            part_serial="SN-0017",
            captured_at=AT,
            appended_at=AT,
            decided_at=AT,
            provider="CPUExecutionProvider",
            precision="fp32",
            queue_seconds=0.002,
            stage_seconds={"decode": 0.002, "embed": 0.004},
            duplicate_of=SourceRecord(topic="frames", partition=3, offset=12),
            replay_of=SourceRecord(topic="frames.dead-letter", partition=0, offset=7),
        ),
        "decision-learning": Decision(
            id=decision_id("cam", "0-0"),
            view="cam",
            frame_id="0-0",
            source=SourceRecord(topic="frames", partition=0, offset=0),
            verdict=Verdict.UNDECIDED,
            reason=Reason.LEARNING,
            appended_at=AT,
            decided_at=AT,
        ),
        "bank-state-active": BankState(
            view=view,
            epoch=7,
            state=ViewState.ACTIVE,
            active=IN_FORCE,
            previous=IN_FORCE,
            shadow=IN_FORCE,
            candidate=IN_FORCE,
            pinned=VERSION,
            commands_through=12,
            feedback_through=4,
            false_reject_ratio=0.01,
            undecided_band=(0.9, 1.1),
            threshold_from="ana: too many rejects",
            annotations=(
                FrameAnnotation(
                    id="g1f2e3d4c",
                    label=Label.OPEN,
                    origin="group",
                    box_xyxy=(0.25, 0.5, 0.375, 0.75),
                    exemplars=(Exemplar(source=SOURCE, frame_id="c0ffee-17", path="annotations/v/g1f2e3d4c/0.frame"),),
                    frames=16,
                    share=0.04,
                    who="trainer",
                    why="16 of 400 frames are alike and unlike the others",
                    at=AT,
                    found_at=AT,
                ),
            ),
            by="trainer",
            why="every 2000 frames",
            at=AT,
        ),
        "bank-state-learning": BankState(
            view="cam", epoch=0, state=ViewState.LEARNING, by="trainer", why="first frame", at=AT
        ),
        "bank-event-promoted": BankEvent(
            view=view,
            kind=BankEventKind.PROMOTED,
            epoch=7,
            bank_version=VERSION,
            command_id="7d3e",
            who="ana",
            why="checked on 200 parts",
            at=AT,
            facts={"threshold": 3.5, "bank_patches": 4000, "rule": "tail", "provisional": False},
        ),
        "drift-event-noticed": DriftEvent(
            view=view,
            kind=DriftEventKind.NOTICED,
            verdict="camera got darker",
            why="the last frames differ from the bank's window",
            decision_id=decision_id(view, "c0ffee-17"),
            frames=12,
            at=AT,
        ),
        "command-promote": Command(
            id="7d3e",
            view=view,
            kind=CommandKind.PROMOTE,
            bank_version=VERSION,
            who="ana",
            why="checked on 200 parts",
            at=AT,
        ),
        "command-set-threshold": Command(
            id="7d3f",
            view=view,
            kind=CommandKind.SET_THRESHOLD,
            threshold=3.5,
            low_limit=3.0,
            high_limit=4.0,
            who="ana",
            why="too many rejects",
            at=AT,
        ),
        "feedback-escaped-defect": Feedback(
            id="f1",
            view=view,
            kind=FeedbackKind.ESCAPED_DEFECT,
            decision_id=decision_id(view, "c0ffee-17"),
            source=SOURCE,
            box_xyxy_px=(10.0, 20.0, 58.5, 44.0),
            who="ben",
            why="came back from the customer",
            at=AT,
        ),
        "feedback-group-no-part": Feedback(
            id="f2", view=view, kind=FeedbackKind.GROUP_NO_PART, annotation="g1f2e3d4c", who="ben", at=AT
        ),
    }


if __name__ == "__main__":
    for name, message in examples().items():
        (Path(sys.argv[1]) / f"{name}.json").write_bytes(message.to_bytes() + b"\n")
