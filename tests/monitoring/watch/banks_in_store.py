"""Banks, states and records for the drift service: made-up lines with a bank that fits them, in a store on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ingest.bank_state import BankInForce, BankState, ViewState
from ingest.kafka.records import Claim, Partition, Record
from softpatch.bank import Bank, bank_to_bytes, bank_version
from softpatch.images.frame_sizes import FrameSizes
from softpatch.images.geometry import FrameGeometry
from softpatch.manifest import Manifest, Threshold
from softpatch.settings import BuildSettings
from tests.monitoring.decisions import AT, VIEW, decision
from tests.monitoring.drift.synthetic_streams import THRESHOLD, frames

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ingest.decision import Decision
    from ingest.store import Store
    from monitoring.drift.observation import Observation

GRAPH = "b2" * 32


def calibrated_bank(seed: int, *, view: str = VIEW, count: int = 200, gain: float = 1.0) -> Bank:
    """A bank whose window showed the line of `frames`, under a lamp of this gain; its patches do not matter here."""
    seen = list(frames(np.random.default_rng(seed), count))
    values = np.stack([one.values for one in seen]).astype(np.float32)
    values[:, 1:4] *= gain
    return Bank(
        manifest=_manifest(view, count),
        vectors=np.zeros((1, 4), np.float32),
        soft_weights=np.ones(1, np.float32),
        source_frame=np.zeros(1, np.int32),
        source_position=np.zeros((1, 2), np.int16),
        calibration_scores=values[:, 0],
        calibration_statistics=values[:, 1:] / np.array([255, 255, 1, 1, 1], np.float32),
        calibration_sketches=np.stack([one.sketch for one in seen]).astype(np.float32),
        probe_frames=np.zeros(1, np.int32),
        probe_scores=np.ones(1, np.float32),
        probes=(b"a picture",),
    )


def stored(store: Store, bank: Bank) -> BankInForce:
    """The bank in the store, as `banks` names it."""
    data = bank_to_bytes(bank)
    uri = f"banks/{bank_version(data)}.safetensors"
    store.put(uri, data)
    return BankInForce(version=bank_version(data), uri=uri, graph_hash=GRAPH, threshold=THRESHOLD)


def state_of(active: BankInForce | None, *, previous: BankInForce | None = None, view: str = VIEW) -> BankState:
    """A view's state."""
    how = ViewState.LEARNING if active is None else ViewState.ACTIVE
    return BankState(view=view, epoch=1, state=how, active=active, previous=previous, by="test", why="test", at=AT)


def state_record(state: BankState) -> Record:
    """The record of `banks` that carries it."""
    return Record("banks", 0, 0, 0, "create_time", state.view.encode(), state.to_bytes())


def decisions(
    observations: Iterable[Observation], bank: BankInForce, *, start: str = "run", view: str = VIEW, first: int = 0
) -> list[Decision]:
    """The decisions of one camera start on these frames."""
    return [
        decision(
            frame_id=f"{start}-{number}",
            view=view,
            sequence=number,
            seen=seen,
            version=bank.version,
            threshold=bank.threshold,
            at_seconds=float(number),
        )
        for number, seen in enumerate(observations, first)
    ]


def records(published: Iterable[Decision], *, first: int = 0, partition: int = 0, tenure: int = 1) -> list[Record]:
    """The records of `decisions` that carry them, from this offset on."""
    claim = Claim(Partition("decisions", partition), tenure)
    return [
        Record("decisions", partition, offset, 0, "create_time", b"line-1/top", one.to_bytes(), claim=claim)
        for offset, one in enumerate(published, first)
    ]


def _manifest(view: str, count: int) -> Manifest:
    geometry = FrameGeometry(mode="squash", height_px=64, width_px=64)
    return Manifest(
        view=view,
        graph_name="lite0",
        graph_hash=GRAPH,
        geometry=geometry,
        features="fine",
        frame_px=FrameSizes.of([(64, 64)]),
        dimension=4,
        grid=(8, 8),
        settings=BuildSettings(geometry=geometry),
        frame_names=[f"window-{i}" for i in range(count)],
        skipped_frames=0,
        noise_floor=0.0,
        kept_ratio=1.0,
        trusted_patches=1,
        threshold=Threshold(
            value=THRESHOLD,
            interval_low=THRESHOLD,
            interval_high=THRESHOLD,
            false_reject_ratio=0.02,
            false_reject_low=0.01,
            false_reject_high=0.03,
            rule="made",
        ),
        noise_estimate=0.0,
        probe_precision="fp32",
        parent=None,
        provenance={},
        created_at=AT.isoformat(),
    )
