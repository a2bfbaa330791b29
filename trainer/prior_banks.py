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
    from trainer.build_order import BuildOrder, GateOrder

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
    """The bank in force and the pinned one, as far as they can be read; none where nothing is examined.

    A bank in force that followed a word since taken back passes what it should not: the one before stands for it.
    """
    gate = order.gate
    if gate is None:
        return PriorBanks()
    active = None
    if parent is not None and order.parent is not None and gate.parent_threshold is not None:
        active = PriorBank(parent, order.parent, gate.parent_threshold)
        if followed_withdrawn_word(parent, order):
            active = _before(store, order, gate) or active
    reference = stored_bank(store, order.view, gate.reference)
    pinned = None
    if reference is not None and gate.reference is not None:
        pinned = PriorBank(reference, gate.reference, threshold_of(reference, order.settings.false_reject_ratio))
    return PriorBanks(active, pinned, gate.quarantine_frames)


def followed_withdrawn_word(bank: Bank, order: BuildOrder) -> bool:
    """Whether a bank learnt what somebody called good and nobody does any more: it would let the next one learn it."""
    said = bank.manifest.provenance.get("annotations", {})
    stands = {each.id for each in order.annotations if each.label == "good"}
    return any(label == "good" and name not in stands for name, label in said.items())


def _before(store: Store, order: BuildOrder, gate: GateOrder) -> PriorBank | None:
    """The bank before the one in force, where it can be read and followed no such word either."""
    bank = stored_bank(store, order.view, gate.previous)
    if bank is None or gate.previous is None or gate.previous_threshold is None or followed_withdrawn_word(bank, order):
        return None
    return PriorBank(bank, gate.previous, gate.previous_threshold)
