"""A fault of each kind, in sequence, on one broker and one stream; `make faults` tries all, each alone, many times."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.faults.__main__ import a_rig
from tests.e2e.faults.catalog import FAULTS
from tests.e2e.faults.clocks import libfaketime
from tests.e2e.faults.fault import Trial, tried
from tests.e2e.faults.ledger import enter, entries, table, to_try
from tests.e2e.services import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.faults.rig import Rig


KINDS = {
    "an inspection dies": (
        "inspection killed inside commit",
        "inspection killed before send",
        "inspection killed after send",
    ),
    "an inspection hangs": ("inspection paused inside a transaction", "inspection paused beyond its session"),
    "the trainer hangs": ("trainer paused beyond its session",),
    "the trainer dies": ("trainer killed between bank file and bank state", "trainer killed while building"),
    "the broker dies": ("broker killed inside a transaction", "broker killed"),
    "the broker hangs": ("broker paused beyond the timeouts",),
    "the store is full": ("no room for windows and banks", "no room for a bank"),
    "the store is gone": ("the store gone",),
    "pictures are claimed": ("claimed pictures, late, missing and changed",),
    "a bank is refused": (
        "a bank in force whose probes disagree",
        "the bank in force truncated",
        "the bank in force with a bit flipped",
        "a bank of another graph in force",
    ),
    "banks are read anew": ("banks compacted, read anew",),
    "members come and go": ("a member joins and leaves", "rolling restart"),
    "a consumer is slow": ("a slow consumer",),
    "frames cannot be read": ("a storm of dead letters in one view", "poison frames", "an oversized frame"),
    "pictures are costly": ("pictures that cost too much to decode",),
    "senders are foreign": (
        "messages that break parsers",
        "foreign headers",
        "serial numbers in the key",
        "a bit flipped on the broker's disk",
    ),
    "the recorder dies": ("recorder killed between database and offsets", "recorder killed inside a write"),
    "a clock jumps": ("the clock of an inspection jumps", "the clock of the trainer jumps"),
}
"""Every fault by its kind. The first of each kind is in the sequence; the others are left to the long run."""
IN_SEQUENCE = tuple(first for first, *_ in KINDS.values())
CALM_SECONDS = (0.2, 1.0)


@pytest.fixture(scope="module")
def rig(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One for all faults: each comes upon what the ones before it left."""
    with a_rig(kafka_home, tmp_path_factory.mktemp("faults")) as made:
        yield made
    del made
    gc.collect()  # while the warnings that the tests here ignore are still ignored: another test would fail by them


@pytest.mark.kafka
@pytest.mark.slow
# Of a broker that was killed, kafka-python leaves sockets to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", [name for name in FAULTS if name in IN_SEQUENCE])
def test_every_record_has_exactly_one_answer_whatever_goes_wrong(
    rig: Rig, name: str, record_property: Callable[[str, object], None]
) -> None:
    """Two inspections and a trainer go through it while frames flow, and nothing else is wrong afterwards."""
    if "clock" in name and libfaketime() is None:
        pytest.skip("libfaketime is not installed; on Debian: apt-get install faketime")
    wait_until(lambda: rig.all_ready, "the rig coming through the fault before")
    trial = tried(FAULTS[name], rig, seed=0, calm_seconds=CALM_SECONDS)
    record_property("recovery_seconds", trial.recovery_seconds)
    assert (trial.lost, trial.doubled, trial.wrong) == (0, 0, ())
    assert trial.sent


def test_every_fault_is_of_one_kind() -> None:
    """So that a new one is put into the sequence, or left to the long run on purpose."""
    assert sorted(name for names in KINDS.values() for name in names) == sorted(FAULTS)


def trial(fault: str, seed: int, *, recovery: float = 1.0, lost: int = 0) -> Trial:
    """A trial that went so."""
    return Trial(fault, seed, 1000, lost, 0, recovery)


def test_a_ledger_is_gone_on_with_where_it_ends(tmp_path: Path) -> None:
    """Also where it was cut off in the middle of a line."""
    ledger = tmp_path / "faults.jsonl"
    assert list(to_try(["a", "b"], 2, entries(ledger))) == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    enter(ledger, trial("a", 0))
    with ledger.open("a") as lines:
        lines.write('{"fault": "b", "se')
    assert entries(ledger) == [trial("a", 0)]
    assert list(to_try(["a", "b"], 2, entries(ledger))) == [("b", 0), ("a", 1), ("b", 1)]


def test_the_table_has_the_median_and_the_worst_recovery_of_each_fault_and_of_all() -> None:
    """And sums of the rest."""
    rows = table(
        [trial("a", 0), trial("a", 1, recovery=9.0, lost=2), trial("a", 2, recovery=3.0), trial("b", 0)]
    ).splitlines()
    assert rows[2:] == [
        "| a | 3 | 3,000 | 2 | 0 | 3.0 s | 9.0 s |",
        "| b | 1 | 1,000 | 0 | 0 | 1.0 s | 1.0 s |",
        "| all | 4 | 4,000 | 2 | 0 | 2.0 s | 9.0 s |",
    ]


def test_the_table_of_the_page_is_that_of_the_ledger_beside_it() -> None:
    """And nothing in it was lost, doubled or wrong."""
    docs = Path(__file__).parents[3] / "docs"
    trials = entries(docs / "reliability" / "faults.jsonl")
    assert table(trials) in (docs / "reliability.md").read_text()
    assert {each.fault for each in trials} == set(FAULTS)
    assert not [each for each in trials if each.lost or each.doubled or each.wrong]
