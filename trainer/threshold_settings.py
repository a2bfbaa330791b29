"""The band around a threshold in which a frame is undecided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.bank_state import BankInForce

if TYPE_CHECKING:
    Band = tuple[float, float]
    """Score ratios: certain pass at or below the first, certain fail above the second."""


def with_band(bank: BankInForce, band: Band | None) -> BankInForce:
    """A bank in force with the limits that a view's `undecided_band` gives it; without one it has none."""
    if band is None:
        return bank
    low, high = (ratio * bank.threshold for ratio in band)
    # Not model_copy: a copy is not validated. The threshold lies between, whatever rounding says.
    limits = {"low_limit": min(low, bank.threshold), "high_limit": max(high, bank.threshold)}
    return BankInForce.model_validate({**dict(bank), **limits})
