"""The banks that a new one is held against, read from the store by a build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

HELD_AGAINST = "held_against"
"""In a manifest's provenance: version and threshold of the bank that this one was held against."""

SAME_FRAMES = 0.8
"""Share of a window that a bank was built from, too, above which it says nothing new of it. From night to night half of
a window of two days is the same, and three quarters where a build is due every 2,000 frames of 8,000."""


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
    """What a new bank is held against, and the pinned one, as far as they can be read; none where nothing is examined.

    A bank in force that followed a word since taken back passes what it should not, and one that was built from the
    same frames has learnt what of them was not kept out: what it was held against itself stands for it, or the bank
    before.
    """
    gate = order.gate
    if gate is None:
        return PriorBanks()
    active = None
    if parent is not None and order.parent is not None and gate.parent_threshold is not None:
        active = PriorBank(parent, order.parent, gate.parent_threshold)
        if followed_withdrawn_word(parent, order) or of_the_same_frames(parent, order):
            active = _earlier(store, order, parent, gate) or active
    reference = stored_bank(store, order.view, gate.reference)
    pinned = None
    if reference is not None and gate.reference is not None:
        pinned = PriorBank(reference, gate.reference, threshold_of(reference, order.settings.false_reject_ratio))
    return PriorBanks(active, pinned, gate.quarantine_frames)


def provenance_of(order: BuildOrder, before: PriorBanks) -> dict[str, Any]:
    """What the new bank's manifest says of where it comes from: of the order, and what it was held against."""
    if before.active is None:
        return order.provenance
    return {**order.provenance, HELD_AGAINST: [before.active.version, before.active.threshold]}


def followed_withdrawn_word(bank: Bank, order: BuildOrder) -> bool:
    """Whether a bank learnt what somebody called good and nobody does any more: it would let the next one learn it."""
    said = bank.manifest.provenance.get("annotations", {})
    stands = {each.id for each in order.annotations if each.label == "good"}
    return any(label == "good" and name not in stands for name, label in said.items())


def of_the_same_frames(bank: Bank, order: BuildOrder) -> bool:
    """Whether most of the window are frames that the bank was built from, too: a word alone is new."""
    known = set(bank.manifest.frame_names)
    return sum(name in known for name in order.frame_names) > SAME_FRAMES * len(order.frame_names)


def _earlier(store: Store, order: BuildOrder, parent: Bank, gate: GateOrder) -> PriorBank | None:
    """What the parent was held against, or the bank before it: the first that can be read and followed no such word."""
    held = parent.manifest.provenance.get(HELD_AGAINST, (None, None))
    for version, threshold in (held, (gate.previous, gate.previous_threshold)):
        bank = stored_bank(store, order.view, version)
        if bank is None or version is None or threshold is None or followed_withdrawn_word(bank, order):
            continue
        return PriorBank(bank, version, threshold)
    return None
