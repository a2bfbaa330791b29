"""Small real things for the inference tests: frames, a bank that fits them, records, a store that holds the bank."""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from inference.decide import Seen
from ingest.bank_state import BankInForce, BankState, ViewState
from ingest.decision import ImageFacts
from ingest.kafka.records import Claim, Partition, Record
from ingest.view import file_name
from softpatch.bank import Bank, bank_to_bytes, bank_version
from softpatch.images.decode import decode
from softpatch.images.frame_sizes import FrameSizes
from softpatch.images.geometry import FrameGeometry
from softpatch.images.input_faults import FrameThumbnail
from softpatch.images.statistics import measure
from softpatch.manifest import Manifest, Threshold
from softpatch.scoring.score import Scorer
from softpatch.scoring.search import FlatSearch
from softpatch.settings import BuildSettings

if TYPE_CHECKING:
    from ingest.store import Store
    from softpatch.network.embed import Embedder

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
VIEW = "line/cam"
GEOMETRY = FrameGeometry(mode="squash", height_px=64, width_px=64)


def picture(seed: int, *, defect: bool = False, size_px: int = 96) -> np.ndarray:
    """A gray plate with a bright disc, a little noise, and perhaps a dark scratch: uint8 RGB."""
    rng = np.random.default_rng(seed)
    image = np.full((size_px, size_px, 3), 110, np.uint8)
    cv2.circle(image, (size_px // 2, size_px // 2), size_px // 4, (200, 190, 180), -1)
    if defect:
        cv2.line(image, (size_px // 3, size_px // 3), (size_px // 2, 2 * size_px // 3), (10, 10, 10), size_px // 12)
    return np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)


def encoded(image: np.ndarray, extension: str = ".jpg") -> bytes:
    """The picture in a file's bytes."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(extension, bgr)[1].tobytes())


@cache
def jpeg(seed: int, *, defect: bool = False) -> bytes:
    """One frame as a camera sends it."""
    return encoded(picture(seed, defect=defect))


def sample_bank(
    embedder: Embedder, *, view: str = VIEW, seed: int = 0, frames: int = 8, geometry: FrameGeometry = GEOMETRY
) -> Bank:
    """A bank of all patches of some good frames; its threshold lies between other good frames and defective ones."""
    window = [jpeg(1000 * (seed + 1) + i) for i in range(frames)]
    pixels = np.stack([geometry.apply(decode(each)) for each in window])
    embeddings = embedder.embed(pixels)
    count, rows, columns, dimension = embeddings.shape
    source = np.indices((count, rows, columns)).reshape(3, -1)
    bank = Bank(
        manifest=_manifest(embedder, view, geometry, (rows, columns), frames),
        vectors=embeddings.reshape(-1, dimension),
        soft_weights=np.ones(count * rows * columns, np.float32),
        source_frame=source[0].astype(np.int32),
        source_position=source[1:].T.astype(np.int16),
        calibration_scores=np.ones(frames, np.float32),
        calibration_statistics=np.array(
            [astuple(measure(geometry.apply(decode(each)))) for each in window], np.float32
        ),
        calibration_sketches=np.zeros((frames, 32), np.float32),
        probe_frames=np.array([0], np.int32),
        probe_scores=np.array([1.0], np.float32),
        probes=(jpeg(77, defect=True),),
    )
    scorer = Scorer(bank, FlatSearch(bank.vectors, threads=1))

    def score(frame: bytes) -> float:
        return scorer.score(embedder.embed(geometry.apply(decode(frame))[None]))[0].score

    good, bad = max(score(jpeg(i)) for i in range(8)), min(score(jpeg(i, defect=True)) for i in range(8))
    assert good * 1.3 < bad, (good, bad)
    threshold = Threshold(
        value=(good + bad) / 2,
        interval_low=good,
        interval_high=bad,
        false_reject_ratio=0.02,
        false_reject_low=0.01,
        false_reject_high=0.03,
        rule="between",
    )
    return replace(
        bank,
        manifest=bank.manifest.model_copy(update={"threshold": threshold}),
        probe_scores=np.array([score(bank.probes[0])], np.float32),
    )


def _manifest(embedder: Embedder, view: str, geometry: FrameGeometry, grid: tuple[int, int], frames: int) -> Manifest:
    return Manifest(
        view=view,
        graph_name="lite0",
        graph_hash=embedder.graph_hash,
        geometry=geometry,
        features=embedder.features,
        frame_px=FrameSizes.of([(96, 96), (16, 16)]),
        dimension=embedder.feature_sets[embedder.features].dimension,
        grid=grid,
        settings=BuildSettings(geometry=geometry),
        frame_names=[f"window-{i}" for i in range(frames)],
        skipped_frames=0,
        noise_floor=0.0,
        kept_ratio=1.0,
        trusted_patches=frames * grid[0] * grid[1],
        threshold=Threshold(
            value=1,
            interval_low=1,
            interval_high=1,
            false_reject_ratio=0.02,
            false_reject_low=0.01,
            false_reject_high=0.03,
            rule="none",
        ),
        noise_estimate=0.0,
        probe_precision="fp32",
        parent=None,
        provenance={},
        created_at=AT.isoformat(),
    )


@dataclass(frozen=True)
class Stored:
    """A bank file in a store, and what `banks` would say of it."""

    bank: Bank
    in_force: BankInForce


def shown(bits: int = 0, *, scene: int | None = None) -> Seen:
    """What the pixels of some frame show; every one differs, but for those of one `scene`."""
    rng = np.random.default_rng(scene)
    cells = FrameThumbnail.of(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8))
    facts = ImageFacts(brightness=10, contrast=5, sharpness=2, dark_ratio=0, saturated_ratio=0)
    return Seen(image=facts, size_wh_px=(640, 480), difference_hash=bits, thumbnail=cells)


def stored(store: Store, bank: Bank, data: bytes | None = None) -> Stored:
    """Put a bank in the store; `data` stands for what a broken one really holds."""
    data = bank_to_bytes(bank) if data is None else data
    version = bank_version(data)
    uri = f"banks/{file_name(bank.manifest.view)}/{version}.safetensors"
    store.put(uri, data)
    in_force = BankInForce(
        version=version, uri=uri, graph_hash=bank.manifest.graph_hash, threshold=bank.manifest.threshold.value
    )
    return Stored(bank, in_force)


def state(
    active: BankInForce | None, *, epoch: int = 1, view: str = VIEW, previous: BankInForce | None = None
) -> BankState:
    """A view's state with this bank active; without one it is learning."""
    how = ViewState.LEARNING if active is None else ViewState.ACTIVE
    return BankState(view=view, epoch=epoch, state=how, active=active, previous=previous, by="test", why="test", at=AT)


def state_record(of: BankState, offset: int = 0) -> Record:
    """The record of `banks` that carries a state."""
    return Record("banks", 0, offset, 0, "create_time", of.view.encode(), of.to_bytes())


def record(
    offset: int,
    value: bytes | None,
    *,
    key: bytes | None = VIEW.encode(),
    headers: tuple[tuple[str, bytes], ...] = (),
    partition: int = 0,
    at: datetime = AT,
    tenure: int = 1,
) -> Record:
    """A record of `frames` under a claim."""
    return Record(
        topic="frames",
        partition=partition,
        offset=offset,
        timestamp_ms=int(at.timestamp() * 1000),
        timestamp_type="log_append_time",
        key=key,
        value=value,
        headers=headers,
        claim=Claim(Partition("frames", partition), tenure),
    )
