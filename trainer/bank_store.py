"""Bank files on the store: put there, found by version, and deleted when no state names them any more."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import structlog

from ingest.bank_state import BankInForce, BankState
from ingest.store import NotInStore, StoreError
from ingest.store_layout import bank_folder, bank_path, banks_among, signature_path
from softpatch.bank import InvalidBank, bank_from_bytes, bank_version
from softpatch.calibration.threshold import ratio_of, threshold_for, threshold_of
from softpatch.images.decode import UndecodableImage
from softpatch.images.input_faults import InputBaseline
from softpatch.scoring.input_baseline import input_baseline_of
from trainer.build_policy import BuiltBank
from trainer.transition import NotPossible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.bank_signature import BankSigner
    from ingest.store import Store
    from softpatch.bank import Bank
    from softpatch.manifest import Threshold
    from trainer.transition import EventFacts

log = structlog.get_logger(__name__)

T = TypeVar("T")


class BankStore:
    """The bank files of all views. Methods raise StoreError where the store does not do its part."""

    def __init__(self, store: Store, *, graph_hash: str, keep: int, signer: BankSigner | None = None) -> None:
        """`signer` signs every bank that is put; None: none is signed."""
        self._store = store
        self._signer = signer
        self.graph_hash = graph_hash
        self._keep = keep
        self._created: dict[str, str] = {}
        self._baselines: dict[str, tuple[str, InputBaseline]] = {}
        """Of each view the version that was in force at the last call, and its baseline: it is not read again."""

    def put(self, data: bytes, *, false_reject_ratio: float) -> BuiltBank:
        """Store a bank file under its version and return what it is, with the threshold for this ratio.

        The ratio may have been changed while the bank was built for another one. Raises InvalidBank, StoreError.
        """
        bank = bank_from_bytes(data)
        threshold = threshold_for(bank, false_reject_ratio)
        in_force = _in_force(bank, bank_version(data)).model_copy(update={"threshold": threshold.value})
        self._store.put(in_force.uri, data)
        if self._signer is not None:
            self._store.put(signature_path(in_force.uri), self._signer.signature(in_force.version))
        return BuiltBank(
            in_force,
            threshold,
            len(bank.threshold_scores),
            facts_of(bank) | facts_of_threshold(threshold),
            tuple(bank.manifest.groups),
        )

    def built(self, view: str, version: str, *, false_reject_ratio: float) -> BuiltBank:
        """A stored bank as its build gave it. Raises NotPossible where the file is missing or invalid."""
        bank = self._read(view, version)
        threshold = threshold_for(bank, false_reject_ratio)
        return BuiltBank(
            _in_force(bank, version).model_copy(update={"threshold": threshold.value}),
            threshold,
            len(bank.threshold_scores),
            groups=tuple(bank.manifest.groups),
            window_full=bool(bank.manifest.provenance.get("window_full", False)),
        )

    def is_lost(self, bank: BankInForce) -> bool:
        """Whether the store has no file of this bank. Raises StoreError where it cannot tell."""
        if bank.uri in self._store.paths(bank.uri.rsplit("/", 1)[0]):
            return False
        try:  # a store that does not answer has no folders, either: to read the file tells the two apart
            self._store.get(bank.uri)
        except NotInStore:
            return True
        return False

    def bank(self, view: str, version: str) -> BankInForce:
        """A bank with the threshold it suggests. Raises NotPossible where it cannot come into force here."""
        bank = self._read(view, version)
        if bank.manifest.graph_hash != self.graph_hash:
            raise NotPossible(
                f"bank {version[:12]} was built with backbone {bank.manifest.graph_name}, another one runs here"
            )
        return _in_force(bank, version)

    def threshold(self, view: str, version: str, false_reject_ratio: float) -> float:
        """What the calibration in a bank gives for another false-reject ratio. Raises NotPossible."""
        return threshold_of(self._read(view, version), false_reject_ratio)

    def ratio(self, view: str, version: str, threshold: float) -> float:
        """The false-reject ratio that this threshold means by the calibration in a bank. Raises NotPossible."""
        return ratio_of(self._read(view, version), threshold)

    def input_baseline(self, state: BankState) -> InputBaseline:
        """How the frames of a view look by its bank in force; where it has none to read, what holds for all views."""
        if state.active is None:
            return InputBaseline()
        version, known = state.active.version, self._baselines.get(state.view)
        if known is not None and known[0] == version:
            return known[1]
        try:
            baseline = input_baseline_of(self._read(state.view, version))
        except (NotPossible, UndecodableImage) as error:
            baseline = InputBaseline()
            log.warning("bank_gives_no_input_baseline", view=state.view, version=version, cause=str(error))
        except StoreError:  # tried again with the next frame
            return InputBaseline()
        self._baselines[state.view] = (version, baseline)
        return baseline

    def tidy(self, state: BankState) -> int:
        """Delete all but `keep` banks: those that a state names, and the newest others; returns how many went."""
        stored = [bank.version for bank in banks_among(self._store.paths(bank_folder(state.view)))]
        unnamed = [version for version in stored if version not in named_versions(state)]
        unnamed.sort(key=lambda version: self.created_at(state.view, version), reverse=True)
        gone = beyond_kept(unnamed, used=len(stored) - len(unnamed), keep=self._keep)
        for version in gone:
            delete_bank(self._store, bank_path(state.view, version))
            self._created.pop(version, None)
        return len(gone)

    def created_at(self, view: str, version: str) -> str:
        """When a bank was built (RFC 3339, UTC: text sorts as time); a file that is no bank counts as oldest."""
        if version not in self._created:
            try:
                self._created[version] = self._read(view, version).manifest.created_at
            except NotPossible:
                self._created[version] = ""
        return self._created[version]

    def _read(self, view: str, version: str) -> Bank:
        try:
            return bank_from_bytes(self._store.get(bank_path(view, version)))
        except NotInStore as error:
            raise NotPossible(
                f"the store has no bank {version[:12]} of this view; `patchline bank list` shows them"
            ) from error
        except InvalidBank as error:
            raise NotPossible(f"bank {version[:12]} cannot be used: {error}") from error


def beyond_kept(unused: Sequence[T], *, used: int, keep: int) -> Sequence[T]:
    """Which of a view's unused banks, newest first, are too many beside those in use: `keep` of both may stay."""
    return unused[max(0, keep - used) :]


def delete_bank(store: Store, path: str) -> None:
    """Remove a bank file and its signature. Raises NotInStore, StoreError."""
    store.delete(path)
    with suppress(NotInStore):
        store.delete(signature_path(path))


def named_versions(state: BankState) -> frozenset[str]:
    """The banks that a state still needs."""
    banks = (state.active, state.previous, state.shadow, state.candidate)
    others = [] if state.pinned is None else [state.pinned]
    others += [] if state.refused is None else [state.refused.version]
    return frozenset([*(bank.version for bank in banks if bank is not None), *others])


def facts_of(bank: Bank) -> EventFacts:
    """The figures of a bank in its `built` event, but for the threshold."""
    manifest = bank.manifest
    facts: EventFacts = {
        "patches": len(bank.vectors),
        "frames": len(manifest.frame_names),
        "skipped_frames": manifest.skipped_frames,
        "kept_ratio": manifest.kept_ratio,
        "noise_estimate": manifest.noise_estimate,
        "groups": len(manifest.groups),
        "input": f"{manifest.geometry.width_px}x{manifest.geometry.height_px} {manifest.features}",
        "golden_right": manifest.golden.right,
        "golden_wrong": len(manifest.golden.wrong),
    }
    if manifest.detection is not None:
        facts["planted_found_ratio"] = manifest.detection.found / manifest.detection.planted
        if manifest.detection.a90_px is not None:
            facts["smallest_found_px"] = manifest.detection.a90_px
    if manifest.remarks:
        facts["remarks"] = ". ".join(manifest.remarks)
    if manifest.golden.wrong:
        facts["golden_wrong_ids"] = " ".join(manifest.golden.wrong)
    return facts


def facts_of_threshold(threshold: Threshold) -> EventFacts:
    """The figures of a threshold in the `built` event of its bank."""
    return {
        "threshold": threshold.value,
        "threshold_low": threshold.interval_low,
        "threshold_high": threshold.interval_high,
        "false_reject_ratio": threshold.false_reject_ratio,
    }


def _in_force(bank: Bank, version: str) -> BankInForce:
    manifest = bank.manifest
    return BankInForce(
        version=version,
        uri=bank_path(manifest.view, version),
        graph_hash=manifest.graph_hash,
        threshold=manifest.threshold.value,
    )
