"""Whose calibration a decision is held against, and what happens where it cannot be had."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from structlog.testing import capture_logs

from ingest.kafka.records import Record
from monitoring.watch.calibrations import Calibrations, NoCalibration
from tests.monitoring.decisions import VIEW
from tests.monitoring.watch.banks_in_store import calibrated_bank, state_of, state_record, stored

if TYPE_CHECKING:
    from ingest.store import FsspecStore
    from tests.monitoring.watch.conftest import HandClock


class ReadCalibrations:
    """Calibrations of a store, what `banks` will say next, and the seconds they told of."""

    def __init__(self, store: FsspecStore, clock: HandClock) -> None:
        self.news: list[Record] = []
        self.read_seconds: list[float] = []
        self.waits = 0
        self.of = Calibrations(
            store, read_banks=self.read, retry_seconds=10, clock=clock, on_read=self.read_seconds.append
        )

    def read(self) -> list[Record]:
        """What `banks` says next, after a wait."""
        self.waits += 1
        return self.news


@pytest.fixture
def calibrations(store: FsspecStore, clock: HandClock) -> ReadCalibrations:
    """Nothing known yet."""
    return ReadCalibrations(store, clock)


def test_the_reference_is_the_banks_own_window(calibrations: ReadCalibrations, store: FsspecStore) -> None:
    """Scores as they stand in the file, brightness in the gray levels of decisions, the threshold in force."""
    bank = calibrated_bank(0)
    active = stored(store, bank)
    calibrations.of.take([state_record(state_of(active))])
    reference = calibrations.of.reference(VIEW, active.version, threshold=25.0)
    assert reference.values[:, 0].tolist() == bank.calibration_scores.tolist()
    np.testing.assert_allclose(reference.values[:, 1], bank.calibration_statistics[:, 0] * 255, rtol=1e-6)
    assert reference.threshold == 25.0
    assert calibrations.read_seconds == [0.0]


def test_a_decision_may_come_before_its_bank_is_known_of(calibrations: ReadCalibrations, store: FsspecStore) -> None:
    """Two topics have no common order: `banks` is read once more before a bank counts as unknown."""
    active = stored(store, calibrated_bank(0))
    calibrations.news = [state_record(state_of(active))]
    assert calibrations.of.reference(VIEW, active.version, threshold=25.0).threshold == 25.0


def test_unknown_banks_cost_one_wait_a_round_and_none_where_decisions_are_read_again(
    calibrations: ReadCalibrations, clock: HandClock
) -> None:
    """A start reads decisions by banks of long ago, of many views in turn; each is said once, however long it takes."""
    views = [f"line-{number}/top" for number in range(20)]
    with capture_logs() as logs:
        for _ in range(3):
            for view in views:
                with pytest.raises(NoCalibration):
                    calibrations.of.reference(view, "a" * 64, threshold=25.0, wait=False)
            clock.seconds += 20
        assert calibrations.waits == 0
        for _ in range(3):
            for view in views:
                with pytest.raises(NoCalibration):
                    calibrations.of.reference(view, "b" * 64, threshold=25.0)
            clock.seconds += 20
            calibrations.of.take([])
        assert calibrations.waits == 1
    assert [one["event"] for one in logs] == ["no_calibration"] * 40


def test_an_unknown_bank_is_known_once_it_is_named(calibrations: ReadCalibrations, store: FsspecStore) -> None:
    """What `banks` says of the view ends the waiting, what it says of another does not."""
    active = stored(store, calibrated_bank(0))
    for news in ([], [state_record(state_of(active, view="line-2/top"))]):
        calibrations.of.take(news)
        with pytest.raises(NoCalibration):
            calibrations.of.reference(VIEW, active.version, threshold=25.0, wait=False)
    calibrations.of.take([state_record(state_of(active))])
    assert calibrations.of.reference(VIEW, active.version, threshold=25.0, wait=False).threshold == 25.0


def test_what_cannot_be_had_is_asked_for_again_after_a_while(
    calibrations: ReadCalibrations, store: FsspecStore, clock: HandClock
) -> None:
    """A store that is away costs one try in ten seconds and one line in the log, not one a decision."""
    active = stored(store, calibrated_bank(0))
    data = store.get(active.uri)
    store.delete(active.uri)
    calibrations.of.take([state_record(state_of(active))])
    with capture_logs() as logs:
        for _ in range(5):
            with pytest.raises(NoCalibration):
                calibrations.of.reference(VIEW, active.version, threshold=25.0)
    assert [(one["event"], one["view"], one["version"]) for one in logs] == [("no_calibration", VIEW, active.version)]
    store.put(active.uri, data)
    with pytest.raises(NoCalibration):
        calibrations.of.reference(VIEW, active.version, threshold=25.0)
    clock.seconds = 10
    assert calibrations.of.reference(VIEW, active.version, threshold=25.0).threshold == 25.0


def test_a_file_that_is_not_what_the_state_names_is_not_trusted(
    calibrations: ReadCalibrations, store: FsspecStore
) -> None:
    """Another bank under the same path: its calibration says nothing of these decisions."""
    active = stored(store, calibrated_bank(0))
    other = stored(store, calibrated_bank(1))
    store.put(active.uri, store.get(other.uri))
    calibrations.of.take([state_record(state_of(active))])
    with capture_logs() as logs, pytest.raises(NoCalibration):
        calibrations.of.reference(VIEW, active.version, threshold=25.0)
    assert [one["detail"] for one in logs] == [f"the file {active.uri} has changed"]


def test_a_bank_of_few_frames_measures_no_drift(calibrations: ReadCalibrations, store: FsspecStore) -> None:
    """The log says what to raise."""
    active = stored(store, calibrated_bank(0, count=9))
    calibrations.of.take([state_record(state_of(active))])
    with capture_logs() as logs, pytest.raises(NoCalibration):
        calibrations.of.reference(VIEW, active.version, threshold=25.0)
    assert logs[0]["detail"].endswith("raise first_build_frames")


def test_a_view_that_was_deleted_has_no_bank(calibrations: ReadCalibrations, store: FsspecStore) -> None:
    """A tombstone in `banks`."""
    active = stored(store, calibrated_bank(0))
    calibrations.of.take([state_record(state_of(active)), Record("banks", 0, 1, 0, "create_time", VIEW.encode(), None)])
    with pytest.raises(NoCalibration):
        calibrations.of.reference(VIEW, active.version, threshold=25.0)


def test_an_unreadable_state_is_logged_and_the_one_before_holds(
    calibrations: ReadCalibrations, store: FsspecStore
) -> None:
    """A newer release's state must not make this service blind."""
    active = stored(store, calibrated_bank(0))
    broken = Record("banks", 0, 1, 0, "create_time", VIEW.encode(), b'{"patchline_schema": 99}')
    with capture_logs() as logs:
        calibrations.of.take([state_record(state_of(active)), broken])
    assert [one["event"] for one in logs] == ["bank_state_unreadable"]
    assert calibrations.of.reference(VIEW, active.version, threshold=25.0).threshold == 25.0
