"""The calibration that a decision is compared with: that of the bank that made it, found by the topic `banks`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ingest.bank_updates import bank_updates
from ingest.store import StoreError
from monitoring.drift.reference import TooFewCalibrationFrames, reference_of_bank
from softpatch.bank import InvalidBank, bank_from_bytes, bank_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ingest.bank_state import BankInForce
    from ingest.kafka.records import Record
    from ingest.store import Store
    from monitoring.drift.reference import Reference

log = structlog.get_logger(__name__)


class NoCalibration(Exception):
    """There is nothing to compare this decision with; the log says why."""


class Calibrations:
    """The references of the banks that `banks` names. What cannot be fetched is tried again after a while."""

    def __init__(
        self,
        store: Store,
        *,
        read_banks: Callable[[], Iterable[Record]],
        retry_seconds: float,
        clock: Callable[[], float],
        on_read: Callable[[float], None],
    ) -> None:
        """`read_banks` gives what is new in `banks`, waiting a moment for it; `on_read` gets the seconds of a read."""
        self._store = store
        self._read_banks = read_banks
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._on_read = on_read
        self._banks: dict[str, dict[str, BankInForce]] = {}
        self._missing: dict[str, tuple[str, float]] = {}
        """Per view the bank that could not be fetched last, and when to try again."""
        self._unknown: dict[str, set[str]] = {}
        """Per view the banks that `banks` does not name: they stay unknown until it has a new record of the view."""
        self._may_wait = True

    def take(self, records: Iterable[Record]) -> None:
        """Follow `banks`, once a round: of each view the banks in force now and before."""
        self._may_wait = True
        self._take(records)

    def _take(self, records: Iterable[Record]) -> None:
        updates = bank_updates(records)
        for view in updates.unreadable:
            self._unknown.pop(view, None)
        for view, state in updates.states.items():
            self._unknown.pop(view, None)
            named = () if state is None else (state.active, state.previous)
            self._banks[view] = {each.version: each for each in named if each is not None}

    def reference(self, view: str, version: str, *, threshold: float, wait: bool = True) -> Reference:
        """What the bank's window looked like. Raises NoCalibration: unknown, not in the store, broken, or too small.

        `wait`: `banks` may name it in a moment; not so for decisions that are read again. One wait a round at most.
        """
        if version in self._unknown.get(view, ()):
            raise NoCalibration(version)
        now = self._clock()
        missing, ask_again = self._missing.get(view, ("", now))
        if missing == version and now < ask_again:
            raise NoCalibration(version)
        try:
            reference = self._fetched(self._place(view, version, wait=wait), threshold)
        except LookupError as error:
            self._unknown.setdefault(view, set()).add(version)
            # Decisions by a bank of long ago are read again at a start; that it is gone is no fault.
            log.info("no_calibration", view=view, version=version, detail=str(error))
            raise NoCalibration(version) from error
        except (StoreError, InvalidBank, TooFewCalibrationFrames) as error:
            self._missing[view] = (version, self._clock() + self._retry_seconds)
            log.warning("no_calibration", view=view, version=version, detail=str(error))
            raise NoCalibration(version) from error
        self._missing.pop(view, None)
        self._on_read(self._clock() - now)
        return reference

    def forget(self, view: str) -> None:
        """The view is gone."""
        self._missing.pop(view, None)
        self._unknown.pop(view, None)

    def _place(self, view: str, version: str, *, wait: bool) -> BankInForce:
        """A decision may be read before the bank state that allowed it."""
        if version not in self._banks.get(view, {}) and wait and self._may_wait:
            self._may_wait = False
            self._take(self._read_banks())
        found = self._banks.get(view, {}).get(version)
        if found is None:
            raise LookupError("the topic `banks` no longer names this bank")
        return found

    def _fetched(self, bank: BankInForce, threshold: float) -> Reference:
        data = self._store.get(bank.uri)
        if bank_version(data) != bank.version:
            raise InvalidBank(f"the file {bank.uri} has changed")
        return reference_of_bank(bank_from_bytes(data), threshold=threshold)
