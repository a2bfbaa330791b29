"""A threshold that a person requests: as limits for any bank that decided, and as the command that puts it in force."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from deploy.errors import CommandFailed, UsageError
from deploy.trainer_commands import new_command
from inference.decide import Limits
from ingest.command import CommandKind
from ingest.store import NotInStore
from ingest.store_layout import bank_path
from softpatch.bank import InvalidBank, bank_from_bytes
from softpatch.calibration.threshold import threshold_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ingest.bank_state import BankInForce
    from ingest.command import Command
    from ingest.decision import Decision
    from ingest.store import Store
    from softpatch.bank import Bank
    from trainer.settings import ViewTraining


@dataclass(frozen=True)
class RequestedThreshold:
    """A request by ratio or by distance; with neither, only the band changes. Limits of the band are score ratios.

    `by_settings`: the view's settings again; ratio and band are then theirs (`as_in`).
    """

    false_reject_ratio: float | None = None
    threshold: float | None = None
    band: tuple[float, float] | None = None
    by_settings: bool = False

    @property
    def changes_anything(self) -> bool:
        """Whether anything is requested at all."""
        return self.by_settings or (self.false_reject_ratio, self.threshold, self.band) != (None, None, None)

    def as_in(self, training: ViewTraining) -> RequestedThreshold:
        """The request with what the view's settings say, where it is by them."""
        if not self.by_settings:
            return self
        band = training.undecided_band or (1.0, 1.0)
        return replace(self, false_reject_ratio=training.build_settings.false_reject_ratio, band=band)

    @property
    def description(self) -> str:
        """The request, for people."""
        parts = ["by the settings"] if self.by_settings else []
        if self.false_reject_ratio is not None:
            parts.append(f"false rejects {100 * self.false_reject_ratio:.3g} %")
        if self.threshold is not None:
            parts.append(f"threshold {self.threshold:.4g}")
        if self.band is not None:
            parts.append(f"undecided from {self.band[0]:g} to {self.band[1]:g}")
        return ", ".join(parts) or "as it was"


@dataclass(frozen=True)
class Costs:
    """Of a good part that fails, and of a defective one that passes, in one unit."""

    reject: float
    escape: float


def requested_from(
    *,
    false_reject: float | None,
    threshold: float | None,
    band: tuple[float, float] | None,
    by_settings: bool = False,
) -> RequestedThreshold:
    """The request in the command's options. Raises UsageError for values that no bank can have."""
    if by_settings and (false_reject, threshold, band) != (None, None, None):
        raise UsageError("--by-settings takes ratio and band from the settings: leave the others away")
    if false_reject is not None and threshold is not None:
        raise UsageError("give --false-reject or --threshold, not both")
    if false_reject is not None and not 0 < false_reject < 0.5:  # noqa: PLR2004 -- as the contract of commands has it
        raise UsageError(f"--false-reject {false_reject:g} must lie between 0 and 0.5, as 0.01 for one in a hundred")
    if threshold is not None and not threshold > 0:
        raise UsageError(f"--threshold {threshold:g} must be above 0")
    if band is not None and not 0 < band[0] <= 1 <= band[1]:
        raise UsageError(f"--band {band[0]:g} {band[1]:g} must hold 1, the threshold, as 0.9 1.1")
    return RequestedThreshold(false_reject, threshold, band, by_settings)


def costs_from(cost_reject: float | None, cost_escape: float | None, requested: RequestedThreshold) -> Costs | None:
    """The costs in the command's options: both, or None. Raises UsageError."""
    if cost_reject is None and cost_escape is None:
        return None
    if cost_reject is None or cost_escape is None:
        raise UsageError("give both --cost-reject and --cost-escape: only what one is to the other counts")
    if (requested.false_reject_ratio, requested.threshold) != (None, None) or requested.by_settings:
        raise UsageError("costs choose the ratio: leave --false-reject, --threshold and --by-settings away")
    if not (cost_reject > 0 and cost_escape > 0):
        raise UsageError(f"--cost-reject {cost_reject:g} and --cost-escape {cost_escape:g} must be above 0")
    return Costs(cost_reject, cost_escape)


class StoredBanks:
    """A view's banks in the store, each read once."""

    def __init__(self, store: Store, view: str) -> None:
        self._store = store
        self._view = view
        self.get: Callable[[str], Bank | None] = lru_cache(maxsize=32)(self._read)

    def require(self, version: str) -> Bank:
        """The bank of this version. Raises CommandFailed where the store has none that can be read."""
        bank = self.get(version)
        if bank is None:
            raise CommandFailed(f"the store has no bank {version[:12]}: set store.url to where the trainer keeps banks")
        return bank

    def _read(self, version: str) -> Bank | None:
        try:
            return bank_from_bytes(self._store.get(bank_path(self._view, version)))
        except (NotInStore, InvalidBank):
            return None


def limits_by(
    requested: RequestedThreshold,
    banks: StoredBanks,
    in_force: BankInForce,
    *,
    default_band: tuple[float, float] | None,
) -> Callable[[Decision], Limits | None]:
    """The limits of each decision under the request; None where its bank file is missing, or has another scale.

    A ratio gives every bank its own threshold, from its own calibration; a threshold is a distance of one bank, so it
    does not apply to the others. `default_band` holds where the request has none.
    """
    low, high = requested.band or default_band or (1.0, 1.0)

    @lru_cache(maxsize=32)
    def by_ratio(version: str) -> float | None:
        bank = banks.get(version)
        return None if bank is None else threshold_of(bank, requested.false_reject_ratio or 0.0)

    def limits(decision: Decision) -> Limits | None:
        version = decision.bank.version if decision.bank else ""
        if requested.false_reject_ratio is not None:
            threshold = by_ratio(version)
        elif requested.threshold is not None:
            threshold = requested.threshold if version == in_force.version else None
        else:
            threshold = decision.threshold
        if threshold is None:
            return None
        return Limits(threshold, min(low * threshold, threshold), max(high * threshold, threshold))

    return limits


def threshold_in_force_by(requested: RequestedThreshold, banks: StoredBanks, in_force: BankInForce) -> float | None:
    """The requested threshold, as a distance of the bank in force; None where its file is needed and missing."""
    if requested.false_reject_ratio is None:
        return requested.threshold or in_force.threshold
    bank = banks.get(in_force.version)
    return None if bank is None else threshold_of(bank, requested.false_reject_ratio)


def command_for(
    requested: RequestedThreshold, view: str, bank: Bank, in_force: BankInForce, *, why: str, at: datetime
) -> Command:
    """The command that puts the request in force; a distance names the bank that it is a distance of."""
    if requested.by_settings:
        return new_command(CommandKind.SET_THRESHOLD, view, why=why, at=at, limits={"by_settings": True})
    threshold = requested.threshold or in_force.threshold
    limits = {"threshold": threshold}
    if requested.false_reject_ratio is not None:
        threshold = threshold_of(bank, requested.false_reject_ratio)
        limits = {"false_reject_ratio": requested.false_reject_ratio}
    if requested.band is not None:
        low, high = requested.band
        limits |= {"low_limit": min(low * threshold, threshold), "high_limit": max(high * threshold, threshold)}
    version = None if limits.keys() == {"false_reject_ratio"} else in_force.version
    return new_command(CommandKind.SET_THRESHOLD, view, why=why, at=at, version=version, limits=limits)
