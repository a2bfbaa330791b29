"""What the gate said, where others find it: a record in the store, its hash in the events, figures in the metrics."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ingest.annotation import Label
from ingest.store import NotInStore
from ingest.store_layout import gate_folder, gate_record_path
from softpatch.gate.verdict import BOUNDS
from trainer.gate_record import gate_record, record_sha256
from trainer.transition import NewFile

if TYPE_CHECKING:
    from datetime import datetime

    from ingest.bank_event import BankEvent
    from ingest.bank_signature import BankSigner
    from ingest.store import Store
    from monitoring.metrics import TrainerMetrics
    from softpatch.gate.measures import GateMeasures
    from softpatch.gate.verdict import GateVerdict
    from trainer.build_policy import BuiltBank
    from trainer.owned_views import OwnedView
    from trainer.transition import Transition


class GateRecords:
    """The records of all views. Methods raise StoreError where the store does not do its part."""

    def __init__(self, store: Store, *, signer: BankSigner | None, keep: int) -> None:
        """`signer` signs every record; None: none is signed."""
        self._store = store
        self._signer = signer
        self._keep = keep

    def with_record(
        self, transition: Transition, view: OwnedView, built: BuiltBank, verdict: GateVerdict | None, *, at: datetime
    ) -> Transition:
        """The transition with the record as a file, and its hash in the events about this bank."""
        measures, version = built.measures, built.bank.version
        if verdict is None or measures is None:
            return transition
        golden = tuple(each for each in view.state.annotations if each.label in GOLDEN)
        record = gate_record(version, measures, verdict, view.training.gate, golden=golden, at=at, signer=self._signer)
        sha256 = record_sha256(record)
        events = tuple(_with_hash(each, sha256) if each.bank_version == version else each for each in transition.events)
        file = NewFile(gate_record_path(view.name, at, version), record)
        return replace(transition, events=events, files=(*transition.files, file))

    def tidy(self, view: str) -> int:
        """Delete all but the newest records of a view; returns how many."""
        old = sorted(self._store.paths(gate_folder(view)))[: -self._keep]
        for path in old:
            with suppress(NotInStore):
                self._store.delete(path)
        return len(old)


GOLDEN = frozenset({Label.GOOD, Label.DEFECT, Label.NO_PART})
"""Labels whose frames a bank must decide right."""


def show_examination(metrics: TrainerMetrics, view: str, measures: GateMeasures, verdict: GateVerdict) -> None:
    """Put the measures of the newest bank, and the bounds it broke, into the metrics of its view."""
    for bound in BOUNDS:
        value = len(measures.golden_wrong) if bound == "golden_wrong" else getattr(measures, bound)
        if value is not None:
            metrics.gate_measure.labels(view=view, bound=bound).set(value)
    for breach in verdict.breaches:
        metrics.gate_refusals.labels(view=view, bound=breach.bound).inc()


def _with_hash(event: BankEvent, sha256: str) -> BankEvent:
    return event.model_copy(update={"facts": {**event.facts, "gate_record_sha256": sha256}})
