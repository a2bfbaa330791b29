"""A bank file with the network it was built with, opened once for many pictures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

from deploy.errors import CommandFailed
from deploy.wiring import embedder_of
from softpatch.bank import bank_from_bytes, bank_version
from softpatch.scoring.bounded_search import cpu_search
from softpatch.scoring.no_part import NoPartCheck
from softpatch.scoring.score import Scorer

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float32, UInt8

    from deploy.settings import RuntimeSettings, Settings
    from softpatch.bank import Bank
    from softpatch.manifest import Manifest
    from softpatch.network.embed import Embedder
    from softpatch.scoring.score import FrameScore


@dataclass(frozen=True, eq=False)
class OpenedBank:
    """A bank, ready to score pictures."""

    bank: Bank
    version: str
    embedder: Embedder
    scorer: Scorer
    no_part: NoPartCheck | None
    max_pixels: int
    """Of a picture; larger ones are not decoded."""

    @classmethod
    def of(cls, bank_file: bytes, settings: Settings) -> Self:
        """The bank in a file's bytes.

        Raises:
            InvalidBank: they are no bank.
            CommandFailed: the bank belongs to another network than the settings name.
        """
        bank = bank_from_bytes(bank_file)
        embedder = _embedder_for(bank.manifest, settings.runtime)
        search = partial(cpu_search, threads=settings.runtime.threads)
        scorer, no_part = Scorer(bank, search(bank.vectors)), NoPartCheck.of(bank, search)
        return cls(bank, bank_version(bank_file), embedder, scorer, no_part, settings.images.max_pixels)

    def decoded(self, encoded: bytes) -> UInt8[np.ndarray, "h w 3"]:
        """A picture's pixels. Raises UndecodableImage."""
        return self.bank.manifest.geometry.decode(encoded, max_pixels=self.max_pixels)

    def scored(
        self, image: UInt8[np.ndarray, "h w 3"]
    ) -> tuple[FrameScore, Float32[np.ndarray, "p q d"], UInt8[np.ndarray, "height width 3"]]:
        """Score a picture; also its patches' embeddings, and the picture as the network saw it."""
        on_input = self.bank.manifest.geometry.apply(image)
        embeddings = self.embedder.embed(on_input[None])
        return self.scorer.score(embeddings)[0], embeddings[0], on_input

    def shows_no_part(self, embedding: Float32[np.ndarray, "p q d"]) -> bool:
        """Whether a picture that does not pass shows no part, by what people said of frames like it."""
        return self.no_part is not None and self.no_part.shows_no_part(embedding)


def _embedder_for(manifest: Manifest, runtime: RuntimeSettings) -> Embedder:
    embedder = embedder_of(runtime)
    if manifest.graph_hash != embedder.graph_hash:
        raise CommandFailed(
            f"the bank was built with {manifest.graph_name}, and runtime.backbone is {runtime.backbone}; "
            "set it to the network of the bank"
        )
    return embedder.with_features(manifest.features)
