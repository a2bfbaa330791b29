"""A threshold that somebody asks for: as limits for any bank that decided, and as the command that puts it in force."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

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


@dataclass(frozen=True)
class RequestedThreshold:
    """What is asked; with neither ratio nor threshold, only the band changes. Limits of the band are score ratios."""

    false_reject_ratio: float | None = None
    threshold: float | None = None
    band: tuple[float, float] | None = None

    @property
    def anything(self) -> bool:
        """Whether anything is to be otherwise than it was."""
        return (self.false_reject_ratio, self.threshold, self.band) != (None, None, None)

    @property
    def words(self) -> str:
        """What is asked, for people."""
        parts = []
        if self.false_reject_ratio is not None:
            parts.append(f"false rejects {100 * self.false_reject_ratio:.3g} %")
        if self.threshold is not None:
            parts.append(f"threshold {self.threshold:.4g}")
        if self.band is not None:
            parts.append(f"undecided from {self.band[0]:g} to {self.band[1]:g}")
        return ", ".join(parts) or "as it was"


class StoredBanks:
    """A view's banks in the store, each read once."""

    def __init__(self, store: Store, view: str) -> None:
        self._store = store
        self._view = view
        self.get: Callable[[str], Bank | None] = lru_cache(maxsize=32)(self._read)

    def _read(self, version: str) -> Bank | None:
        try:
            return bank_from_bytes(self._store.get(bank_path(self._view, version)))
        except (NotInStore, InvalidBank):
            return None


def limits_by(
    asked: RequestedThreshold, banks: StoredBanks, in_force: BankInForce, *, usual_band: tuple[float, float] | None
) -> Callable[[Decision], Limits | None]:
    """The limits each decision would have been held against; None where its bank is gone, or has another scale.

    A ratio gives every bank its own threshold, from its own calibration; a threshold is a distance of one bank, so it
    says nothing of the others. `usual_band` holds where none is asked for.
    """
    low, high = asked.band or usual_band or (1.0, 1.0)

    @lru_cache(maxsize=32)
    def by_ratio(version: str) -> float | None:
        bank = banks.get(version)
        return None if bank is None else threshold_of(bank, asked.false_reject_ratio or 0.0)

    def limits(decision: Decision) -> Limits | None:
        version = decision.bank.version if decision.bank else ""
        if asked.false_reject_ratio is not None:
            threshold = by_ratio(version)
        elif asked.threshold is not None:
            threshold = asked.threshold if version == in_force.version else None
        else:
            threshold = decision.threshold
        if threshold is None:
            return None
        return Limits(threshold, min(low * threshold, threshold), max(high * threshold, threshold))

    return limits


def command_for(
    asked: RequestedThreshold, view: str, bank: Bank, in_force: BankInForce, *, why: str, at: datetime
) -> Command:
    """The command that puts what is asked in force; a distance names the bank that it is a distance of."""
    threshold = asked.threshold or in_force.threshold
    said = {"threshold": threshold}
    if asked.false_reject_ratio is not None:
        threshold = threshold_of(bank, asked.false_reject_ratio)
        said = {"false_reject_ratio": asked.false_reject_ratio}
    if asked.band is not None:
        low, high = asked.band
        said |= {"low_limit": min(low * threshold, threshold), "high_limit": max(high * threshold, threshold)}
    version = None if said.keys() == {"false_reject_ratio"} else in_force.version
    return new_command(CommandKind.SET_THRESHOLD, view, why=why, at=at, version=version, limits=said)
