"""A requested threshold, as limits for each bank that decided and as the command that puts it in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from deploy.errors import UsageError
from deploy.history.requested_threshold import (
    RequestedThreshold,
    StoredBanks,
    command_for,
    costs_from,
    limits_by,
    requested_from,
)
from inference.decide import Limits
from ingest.bank_state import BankInForce
from ingest.command import CommandKind
from ingest.store import FsspecStore
from ingest.store_layout import bank_path
from softpatch.bank import bank_from_bytes, bank_version
from softpatch.calibration.threshold import threshold_of
from tests.deploy.history.test_threshold_replay import AT, decision
from tests.trainer.bank_files import bank_file
from tests.trainer.views import VIEW
from trainer.settings import ViewTraining

if TYPE_CHECKING:
    from pathlib import Path

FILE = bank_file()
VERSION = bank_version(FILE)
IN_FORCE = BankInForce(version=VERSION, uri="x", graph_hash="c" * 64, threshold=3.0)
BY_BANK = {"bank": {"version": VERSION, "epoch": 1}}


@pytest.fixture
def banks(tmp_path: Path) -> StoredBanks:
    """The view's one bank."""
    store = FsspecStore.open(str(tmp_path))
    store.put(bank_path(VIEW, VERSION), FILE)
    return StoredBanks(store, VIEW)


def test_a_ratio_gives_every_bank_its_own_threshold(banks: StoredBanks) -> None:
    """From its own calibration; a bank whose file is missing has none."""
    limits = limits_by(RequestedThreshold(false_reject_ratio=0.05), banks, IN_FORCE, default_band=None)
    expected = threshold_of(bank_from_bytes(FILE), 0.05)
    assert limits(decision(1.0, **BY_BANK)) == Limits(expected, expected, expected)
    assert limits(decision(1.0)) is None


def test_a_threshold_says_nothing_of_another_bank(banks: StoredBanks) -> None:
    """It is a distance of the bank in force."""
    limits = limits_by(RequestedThreshold(threshold=2.5), banks, IN_FORCE, default_band=(0.8, 1.2))
    assert limits(decision(1.0, **BY_BANK)) == Limits(2.5, 2.0, 3.0)
    assert limits(decision(1.0)) is None


def test_a_band_alone_keeps_the_threshold_that_decided(banks: StoredBanks) -> None:
    """Whatever bank it was of; `1 1` takes the view's own band away."""
    for requested, expected in (
        (RequestedThreshold(band=(0.5, 2.0)), Limits(1.0, 0.5, 2.0)),
        (RequestedThreshold(band=(1, 1)), Limits(1.0, 1.0, 1.0)),
    ):
        assert limits_by(requested, banks, IN_FORCE, default_band=(0.9, 1.1))(decision(1.0)) == expected


@pytest.mark.parametrize(
    ("requested", "fields", "description"),
    [
        (RequestedThreshold(threshold=2.5), {"threshold": 2.5}, "threshold 2.5"),
        (RequestedThreshold(false_reject_ratio=0.05), {"false_reject_ratio": 0.05}, "false rejects 5 %"),
        (
            RequestedThreshold(band=(0.5, 2.0)),
            {"threshold": 3.0, "low_limit": 1.5, "high_limit": 6.0},
            "undecided from 0.5 to 2",
        ),
        (
            RequestedThreshold(threshold=2.5, band=(0.8, 1.2)),
            {"threshold": 2.5, "low_limit": 2.0, "high_limit": 3.0},
            "threshold 2.5, undecided from 0.8 to 1.2",
        ),
    ],
)
def test_a_request_becomes_one_command(
    requested: RequestedThreshold, fields: dict[str, float], description: str
) -> None:
    """With who and why; limits are distances of the bank in force, which is named: another may be by then."""
    command = command_for(requested, VIEW, bank_from_bytes(FILE), IN_FORCE, why="to try", at=AT)
    assert (command.kind, command.view, command.why) == (CommandKind.SET_THRESHOLD, VIEW, "to try")
    names = ("threshold", "false_reject_ratio", "low_limit", "high_limit")
    assert {name: value for name in names if (value := getattr(command, name)) is not None} == fields
    assert command.bank_version == (None if set(fields) == {"false_reject_ratio"} else VERSION)
    assert (requested.description, requested.changes_anything) == (description, True)


def test_an_empty_request_changes_nothing() -> None:
    """And is described so."""
    assert (RequestedThreshold().changes_anything, RequestedThreshold().description) == (False, "as it was")


def test_the_settings_are_a_request_of_their_own(banks: StoredBanks) -> None:
    """What they would do is shown by their ratio and band; the command names neither, and no bank."""
    training = ViewTraining(false_reject_ratio=0.05, undecided_band=(0.8, 1.2))
    requested = requested_from(false_reject=None, threshold=None, band=None, by_settings=True).as_in(training)
    assert (requested.false_reject_ratio, requested.band) == (0.05, (0.8, 1.2))
    assert requested.description == "by the settings, false rejects 5 %, undecided from 0.8 to 1.2"
    expected = threshold_of(bank_from_bytes(FILE), 0.05)
    limits = limits_by(requested, banks, IN_FORCE, default_band=(0.5, 2.0))
    assert limits(decision(1.0, **BY_BANK)) == Limits(expected, 0.8 * expected, 1.2 * expected)
    command = command_for(requested, VIEW, bank_from_bytes(FILE), IN_FORCE, why="as before", at=AT)
    assert (command.by_settings, command.false_reject_ratio, command.bank_version) == (True, None, None)
    assert RequestedThreshold(threshold=2.0).as_in(training) == RequestedThreshold(threshold=2.0)
    assert RequestedThreshold(by_settings=True).as_in(ViewTraining()).band == (1.0, 1.0)


@pytest.mark.parametrize("other", [{"false_reject": 0.1}, {"threshold": 2.0}, {"band": (0.9, 1.1)}])
def test_the_settings_and_a_value_contradict_each_other(other: dict[str, Any]) -> None:
    """Which of them is meant is not guessed."""
    options: dict[str, Any] = {"false_reject": None, "threshold": None, "band": None}
    with pytest.raises(UsageError, match="--by-settings takes ratio and band from the settings"):
        requested_from(**{**options, **other}, by_settings=True)
    by_settings = requested_from(**options, by_settings=True)
    with pytest.raises(UsageError, match="leave --false-reject, --threshold and --by-settings away"):
        costs_from(1, 9, by_settings)
