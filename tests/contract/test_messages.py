"""The JSON contracts: golden files of version 1 stay readable and writable, strict writers, lenient readers."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from ingest.bank_state import BankInForce, BankState, ViewState
from ingest.command import Command, CommandKind
from ingest.contract import BadMessage, Message, NewerSchema, SourceRecord
from ingest.decision import Decision, SmallMap, decision_id
from tests.contract.messages import IN_FORCE, examples

HERE = Path(__file__).parent
GOLDEN = sorted((HERE / "golden" / "v1").glob("*.json"))
EXAMPLES: dict[str, Message] = examples()


def test_every_example_has_its_golden_file() -> None:
    """No message of version 1 is without a file that pins it."""
    assert [path.stem for path in GOLDEN] == sorted(EXAMPLES)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_files_of_version_1_are_read_and_written_as_they_are(path: Path) -> None:
    """A file written by the first release means the same today, byte for byte."""
    golden = path.read_bytes().strip()
    message = type(EXAMPLES[path.stem]).from_bytes(golden)
    assert message == EXAMPLES[path.stem]
    assert message.to_bytes() == golden


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_reader_ignores_the_fields_of_a_later_minor_version(name: str) -> None:
    """Unknown fields, nested ones too, do not stop an older reader."""
    document = json.loads(EXAMPLES[name].to_bytes())
    document["of_tomorrow"] = 1
    for part in document.values():
        if isinstance(part, dict) and "rows" in part | {"version": 0}:
            part["of_tomorrow"] = [1]
    if "source" in document:
        document["source"]["of_tomorrow"] = None
    assert type(EXAMPLES[name]).from_bytes(json.dumps(document).encode()) == EXAMPLES[name]


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_writer_may_not_add_a_field(name: str) -> None:
    """A misspelt field is an error where it is written, not a silence where it is read."""
    fields = EXAMPLES[name].model_dump() | {"scoer": 1.0}
    with pytest.raises(ValidationError, match="scoer"):
        type(EXAMPLES[name])(**fields)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_newer_major_version_is_refused_with_what_to_do(name: str) -> None:
    """The sentence names both versions and says to update."""
    document = json.loads(EXAMPLES[name].to_bytes()) | {"patchline_schema": 2}
    with pytest.raises(NewerSchema) as refused:
        type(EXAMPLES[name]).from_bytes(json.dumps(document).encode())
    assert str(refused.value) == (
        "message has schema 2, this release reads up to 1: update Patchline here before the services that write it"
    )


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_named_error(data: bytes) -> None:
    """A reader of a topic anyone can write to meets no surprise exception."""
    with pytest.raises(BadMessage):
        Decision.from_bytes(data)


HOSTILE = (
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"9" * 100_000,
    b'{"patchline_schema": 1e999}',
    b'{"patchline_schema": ' + b"9" * 10_000 + b"}",
    b'"\\ud800"',
    b"\xef\xbb\xbf{}",
    b"NaN",
    b"{" + b",".join(b'"%d": 0' % number for number in range(50_000)) + b"}",
    b'{"annotations": [' + b",".join([b"0"] * 100_000) + b"]}",
)


@pytest.mark.parametrize("kind", sorted({type(each) for each in EXAMPLES.values()}, key=lambda kind: kind.__name__))
@pytest.mark.parametrize("data", HOSTILE, ids=lambda data: data[:12].decode(errors="replace"))
def test_what_was_written_to_break_a_parser_is_a_named_error_of_a_line(kind: type[Message], data: bytes) -> None:
    """Brackets a hundred thousand deep ended the trainer once, and a message names no more faults than one can read."""
    with pytest.raises(BadMessage) as refused:
        kind.from_bytes(data)
    assert len(str(refused.value)) < 1500


@given(st.sampled_from(sorted(EXAMPLES)), st.data())
def test_a_message_with_a_part_exchanged_is_read_or_a_named_error(name: str, data: st.DataObject) -> None:
    """Nearly right ones, too: bytes are put in place of others anywhere."""
    written = EXAMPLES[name].to_bytes()
    at = data.draw(st.integers(0, len(written)))
    length = data.draw(st.integers(0, 40))
    put = data.draw(st.binary(max_size=10) | st.sampled_from([b"null", b"[[", b'"', b"-1e400", b"{}", b"\\u0000"]))
    with contextlib.suppress(BadMessage):
        type(EXAMPLES[name]).from_bytes(written[:at] + put + written[at + length :])


@pytest.mark.parametrize("name", ["command-promote", "feedback-escaped-defect"])
def test_what_a_person_says_has_a_bound(name: str) -> None:
    """It is repeated in states and events, which must fit their topics."""
    fields = EXAMPLES[name].model_dump()
    for field, characters in {"who": 201, "why": 1001, "id": 101}.items():
        with pytest.raises(ValidationError, match=field):
            type(EXAMPLES[name])(**(fields | {field: "x" * characters}))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"reason": "learning"}, "an undecided frame has a reason, and only an undecided one"),
        ({"verdict": "undecided"}, "an undecided frame has a reason, and only an undecided one"),
        ({"bank": None}, "a pass or fail needs a score, a threshold and a bank"),
        ({"score": None, "score_ratio": None}, "a pass or fail needs a score, a threshold and a bank"),
        ({"score_ratio": None}, "score_ratio stands where score and threshold do"),
    ],
)
def test_no_verdict_without_what_vouches_for_it(change: dict[str, object], complaint: str) -> None:
    """A pass or fail carries score, threshold and bank; undecided carries a reason."""
    with pytest.raises(ValidationError, match=complaint):
        Decision(**(EXAMPLES["decision-fail"].model_dump() | change))


def test_a_score_that_is_not_a_number_cannot_be_written() -> None:
    """NaN compares false with every threshold, so it must not travel."""
    with pytest.raises(ValidationError, match="finite"):
        Decision(**(EXAMPLES["decision-fail"].model_dump() | {"score": float("nan")}))


def test_a_view_is_learning_exactly_while_it_has_no_bank() -> None:
    """State and active bank cannot contradict each other."""
    state = EXAMPLES["bank-state-active"].model_dump()
    with pytest.raises(ValidationError, match="has an active bank"):
        BankState(**(state | {"active": None}))
    with pytest.raises(ValidationError, match="has no active bank"):
        BankState(**(state | {"state": ViewState.LEARNING}))


def test_limits_embrace_the_threshold() -> None:
    """Low above high would make a frame pass and fail."""
    with pytest.raises(ValidationError, match="low_limit <= threshold <= high_limit"):
        BankInForce(**(IN_FORCE.model_dump() | {"low_limit": 4.5}))


def test_a_command_says_what_it_needs() -> None:
    """A promote without a version, or a threshold asked for in two ways, is refused where it is made."""
    promote = EXAMPLES["command-promote"].model_dump()
    with pytest.raises(ValidationError, match="promote needs bank_version"):
        Command(**(promote | {"bank_version": None}))
    with pytest.raises(ValidationError, match="one of threshold, false_reject_ratio and by_settings"):
        Command(**(promote | {"kind": CommandKind.SET_THRESHOLD}))


@pytest.mark.parametrize(
    "wanted", [{}, {"threshold": 2.0, "by_settings": True}, {"threshold": 2.0, "false_reject_ratio": 0.02}]
)
def test_a_threshold_is_set_in_one_way(wanted: dict[str, object]) -> None:
    """By a distance, by a ratio, or by the view's settings again."""
    said = {"id": "c-1", "view": "l/c", "kind": "set_threshold", "who": "ana", "why": "", "at": "2026-05-04T12:00:00Z"}
    needs = "set_threshold needs one of threshold, false_reject_ratio and by_settings"
    with pytest.raises(ValidationError, match=needs):
        Command.model_validate(said | wanted)
    assert Command.model_validate(said | {"by_settings": True}).by_settings


def test_the_same_frame_of_the_same_view_has_the_same_decision_id() -> None:
    """sha256 of view and frame id: another frame or another view is another decision."""
    assert decision_id("a/b", "1") == decision_id("a/b", "1")
    assert len({decision_id("a/b", "1"), decision_id("a/b", "2"), decision_id("a/c", "1")}) == 3


@given(arrays(np.float32, (3, 5), elements=st.floats(0, 1e4, width=32)))
def test_a_small_map_keeps_scores_within_half_a_step(scores: np.ndarray) -> None:
    """One byte a patch: an error of at most half of maximum / 255."""
    small = SmallMap.of(scores)
    assert np.abs(small.scores() - scores).max() <= scores.max() / 255 * 0.5001 + 1e-30


def test_a_source_record_reads_its_own_text() -> None:
    """Topics may hold colons in theory; the last two parts are the numbers."""
    source = SourceRecord(topic="a:b", partition=1, offset=2)
    assert SourceRecord.parse(str(source)) == source
