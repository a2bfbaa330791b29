"""A wrong clock of this machine never makes a frame younger than it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.kafka.broker_clock import TOLERANCE_SECONDS, BrokerClock, steady_seconds

BROKER = 1_800_000_000.0


class Machine:
    """Its steady clock stands at 500 when the broker's stands at BROKER; its wall clock is wrong by `skew`."""

    def __init__(self, skew: float) -> None:
        self.passed = 0.0
        self.skew = skew
        self.clock = BrokerClock(steady=lambda: 500 + self.passed, wall=lambda: BROKER + self.passed + self.skew)

    def commit(self, *, seconds: float = 0.0, broker_ahead: float = 0.0) -> bool:
        """Two records, appended in the middle of a round trip of so many seconds."""
        sent_at = self.clock.steady()
        self.passed += seconds
        appended = BROKER + self.passed - seconds / 2 + broker_ahead
        times = [round(1000 * appended), round(1000 * appended)]
        return self.clock.heard(times, sent_at=sent_at, acknowledged_at=self.clock.steady())


def off_by(machine: Machine) -> float:
    """Seconds that the broker's time is taken for later than it is."""
    return (machine.clock.now() - datetime.fromtimestamp(BROKER + machine.passed, UTC)).total_seconds()


def test_a_clock_an_hour_behind_voids_the_first_decisions_and_none_after() -> None:
    """Frames 12 s old were silent passes; now the first commit shows it, and from then on the broker's clock counts."""
    machine = Machine(skew=-3600)
    assert machine.clock.skew_seconds is None
    assert not machine.commit()
    assert machine.commit()
    assert machine.clock.skew_seconds == pytest.approx(-3600, abs=0.01)
    assert off_by(machine) == pytest.approx(0, abs=0.01)


def test_a_clock_ahead_voids_the_first_decisions_too() -> None:
    """They were undecided for an age that they do not have."""
    machine = Machine(skew=3600)
    assert not machine.commit()
    assert machine.commit()
    assert off_by(machine) == pytest.approx(0, abs=0.01)


def test_setting_the_clock_while_we_run_changes_no_age() -> None:
    """Only what is said of the skew."""
    machine = Machine(skew=0)
    machine.commit()
    machine.skew = -3600
    assert off_by(machine) == pytest.approx(0, abs=0.01)
    assert machine.clock.skew_seconds == pytest.approx(-3600, abs=0.01)


def test_a_machine_that_was_paused_voids_what_it_decided_meanwhile() -> None:
    """Its steady clock stood still: the broker's went on, and the next commit tells."""
    machine = Machine(skew=0)
    assert machine.commit()
    assert not machine.commit(broker_ahead=60)
    assert machine.commit(broker_ahead=60)


@given(
    skew=st.floats(-1e5, 1e5),
    trips=st.lists(st.tuples(st.floats(0, 5), st.floats(0, 100)), min_size=1, max_size=6),
)
def test_what_stands_was_never_dated_too_early(skew: float, trips: list[tuple[float, float]]) -> None:
    """Whatever the wall clock and the round trips: a commit stands only where no frame was taken for much younger."""
    machine = Machine(skew)
    for seconds, pause in trips:
        before = off_by(machine)
        stood = machine.commit(seconds=seconds)
        assert not stood or before >= -TOLERANCE_SECONDS - seconds - 0.01
        assert off_by(machine) >= -seconds / 2 - 0.01
        machine.passed += pause


def test_nothing_written_tells_nothing() -> None:
    """A commit of offsets alone has no time in it."""
    machine = Machine(skew=-3600)
    assert machine.clock.heard([], sent_at=1, acknowledged_at=2)
    assert machine.clock.skew_seconds is None


def test_the_steady_clock_counts_up() -> None:
    """The real one."""
    assert steady_seconds() <= steady_seconds()
