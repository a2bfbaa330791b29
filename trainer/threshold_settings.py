"""What a view's thresholds go by: what a person asked for last, and where nobody did, the view's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.bank_state import BankInForce
from softpatch.settings import BuildSettings

if TYPE_CHECKING:
    from ingest.bank_state import BankState
    from trainer.settings import ViewTraining

    Band = tuple[float, float]
    """Score ratios: certain pass at or below the first, certain fail above the second."""


def false_reject_ratio_of(state: BankState, training: ViewTraining) -> float:
    """The share of good parts that the threshold of this view's bank may reject."""
    return state.false_reject_ratio or training.build_settings.false_reject_ratio


def undecided_band_of(state: BankState, training: ViewTraining) -> Band | None:
    """The score ratios between which a frame of this view is undecided; None where every one passes or fails."""
    return state.undecided_band or training.undecided_band


def build_settings_of(state: BankState, training: ViewTraining) -> BuildSettings:
    """The settings of this view's builds, with the false-reject ratio in force."""
    ratio = false_reject_ratio_of(state, training)
    # Not model_copy: a copy is not validated.
    return BuildSettings.model_validate({**training.build_settings.model_dump(), "false_reject_ratio": ratio})


def with_band(bank: BankInForce, band: Band | None) -> BankInForce:
    """A bank in force with the limits that a band gives it; without one it has none."""
    if band is None:
        return bank
    low, high = (ratio * bank.threshold for ratio in band)
    # Not model_copy: a copy is not validated. The threshold lies between, whatever rounding says.
    limits = {"low_limit": min(low, bank.threshold), "high_limit": max(high, bank.threshold)}
    return BankInForce.model_validate({**dict(bank), **limits})
