"""The banks that a new one is held against, read from the store by a build."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ingest.store import NotInStore
from ingest.store_layout import bank_path
from softpatch.bank import InvalidBank, bank_from_bytes
from softpatch.building.examine import PriorBanks
from softpatch.calibration.threshold import threshold_of
from softpatch.gate.prior_scores import PriorBank

if TYPE_CHECKING:
    from ingest.store import Store
    from softpatch.bank import Bank
    from trainer.build_order import BuildOrder

log = structlog.get_logger(__name__)


def stored_bank(store: Store, view: str, version: str | None) -> Bank | None:
    """A bank of the view; None where there is none that can be read: a lost bank must not stop the next."""
    if version is None:
        return None
    try:
        return bank_from_bytes(store.get(bank_path(view, version)))
    except (NotInStore, InvalidBank) as error:
        log.warning("bank_not_compared_with", view=view, version=version, cause=str(error))
        return None


def prior_banks(store: Store, order: BuildOrder, parent: Bank | None) -> PriorBanks:
    """The bank in force and the pinned one, as far as they can be read; none where nothing is examined."""
    gate = order.gate
    if gate is None:
        return PriorBanks()
    active = None
    if parent is not None and order.parent is not None and gate.parent_threshold is not None:
        active = PriorBank(parent, order.parent, gate.parent_threshold)
    reference = stored_bank(store, order.view, gate.reference)
    pinned = None
    if reference is not None and gate.reference is not None:
        pinned = PriorBank(reference, gate.reference, threshold_of(reference, order.settings.false_reject_ratio))
    return PriorBanks(active, pinned, gate.quarantine_frames)
