"""One picture against one bank, in this process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from deploy.errors import CommandFailed
from deploy.pictures.annotated_frame import boxed, heated, on_source
from deploy.wiring import embedder_of
from softpatch.bank import bank_from_bytes
from softpatch.images.decode import decode
from softpatch.scoring.score import Scorer, anomaly_map, regions
from softpatch.scoring.search import FlatSearch

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import Float32, UInt8

    from deploy.settings import RuntimeSettings
    from softpatch.bank import Manifest
    from softpatch.network.embed import Embedder

Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class ScoredImage:
    """What a bank says of a picture. Scores are L2 distances of the bank; boxes are pixels of the picture."""

    image: UInt8[np.ndarray, "h w 3"]
    score: float
    threshold: float
    heat: Float32[np.ndarray, "h w"]
    """Score over threshold, per pixel."""
    regions: tuple[tuple[Box, float], ...]
    """Where it exceeds the threshold, with the highest score there; worst first."""

    @property
    def verdict(self) -> Literal["pass", "fail"]:
        """Fail above the threshold."""
        return "fail" if self.score > self.threshold else "pass"

    def to_json(self) -> dict[str, object]:
        """The figures, without pixels."""
        return {
            "score": self.score,
            "threshold": self.threshold,
            "score_ratio": self.score / self.threshold,
            "verdict": self.verdict,
            "regions": [{"box_xyxy_px": box, "peak": peak} for box, peak in self.regions],
        }


def embedder_for(manifest: Manifest, runtime: RuntimeSettings) -> Embedder:
    """The network that the bank was built with. Raises CommandFailed where the settings name another one."""
    embedder = embedder_of(runtime)
    if manifest.graph_hash != embedder.graph_hash:
        raise CommandFailed(
            f"the bank was built with {manifest.graph_name}, and runtime.backbone is {runtime.backbone}; "
            "set it to the network of the bank"
        )
    return embedder


def score_image(encoded: bytes, bank_file: bytes, runtime: RuntimeSettings) -> ScoredImage:
    """Score one picture.

    Raises:
        UndecodableImage: it is not a picture that can be read.
        InvalidBank: the file is no bank.
        CommandFailed: the bank belongs to another network.
    """
    bank = bank_from_bytes(bank_file)
    manifest, embedder = bank.manifest, embedder_for(bank.manifest, runtime)
    image = decode(encoded)
    size_wh = image.shape[1], image.shape[0]
    embedding = embedder.embed(manifest.geometry.apply(image)[None])
    found = Scorer(bank, FlatSearch(bank.vectors, threads=runtime.threads)).score(embedding)[0]
    threshold = manifest.threshold.value
    smooth = anomaly_map(found.patch_scores, height_px=manifest.geometry.height_px, width_px=manifest.geometry.width_px)
    worst_first = regions(found.patch_scores, smooth, threshold)
    return ScoredImage(
        image=image,
        score=found.score,
        threshold=threshold,
        heat=on_source(smooth / np.float32(threshold), manifest.geometry, size_wh),
        regions=tuple((manifest.geometry.source_box(each.box_xyxy, size_wh), each.peak) for each in worst_first),
    )


def overlay_of(scored: ScoredImage, path: Path) -> None:
    """Write the picture under its heat map, with boxes. Raises CommandFailed where it cannot be written."""
    picture = boxed(heated(scored.image, scored.heat), [box for box, _ in scored.regions], (1.0, 1.0))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        written = cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    except cv2.error:
        written = False
    if not written:
        raise CommandFailed(f"cannot write {path}; name a .png in a folder you may write to")
