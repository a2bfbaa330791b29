"""A micro-batch of frames becomes evidence: decode, shape, embed, search, score.

Frames of any views share a batch. Those whose banks take the same input are embedded together, those of one bank are
searched together, and a view without a bank skips the network but its pixels are measured. What goes wrong with one
frame is that frame's alone: it comes back as a `BadFrame`, or without evidence.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog

from inference.banks import Serving
from inference.decide import NoBank, ScoreEvidence, Seen
from inference.evidence import evidence_of
from ingest.decision import ImageFacts
from ingest.frame import BadFrame, DeadLetterReason
from softpatch.images.decode import UndecodableImage
from softpatch.images.geometry import FrameGeometry
from softpatch.images.input_faults import FrameThumbnail, InputBaseline, exposure_fault
from softpatch.images.statistics import difference_hash, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence
    from concurrent.futures import Executor

    from ingest.claims import Claims
    from ingest.decoding import FrameDecoder
    from ingest.frame import Frame
    from softpatch.network.embed import Embedder
    from softpatch.scoring.score import FrameScore

log = structlog.get_logger(__name__)

NO_BANK_GEOMETRY = FrameGeometry(bit_depth=None)
"""At which a frame without a bank is measured: that of the default network."""

GRAY_LEVELS = 255.0
"""Decisions give brightness and contrast in gray levels, image statistics in shares of white."""


class StageClock:
    """Adds up the seconds of work per stage of one batch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count what happens inside to this stage."""
        started = self._clock()
        try:
            yield
        finally:
            self.seconds[stage] += self._clock() - started


@dataclass(frozen=True)
class Inspected:
    """What one frame showed; without evidence it had no bank, or no score."""

    seen: Seen
    evidence: ScoreEvidence | None
    stage_seconds: dict[str, float]
    """Of its own decoding, and its share of the work done together."""


@dataclass(frozen=True)
class _Shaped:
    """A decoded frame; `pixels` is uint8 [height, width, 3], the input of its bank's network."""

    pixels: np.ndarray
    seen: Seen
    decode_seconds: float


@dataclass(frozen=True)
class _Waiting:
    """A shaped frame that has a bank, by its place in the batch."""

    place: int
    shaped: _Shaped
    serving: Serving


class FrameScoring:
    """Scores batches on one embedder, decoding in `pool`. One thread only."""

    def __init__(
        self,
        embedder: Embedder,
        *,
        pool: Executor,
        decoder: FrameDecoder,
        claims: Claims,
        clock: Callable[[], float],
    ) -> None:
        self._embedder = embedder
        self._pool = pool
        self._decoder = decoder
        self._claims = claims
        self._clock = clock

    def inspect(
        self, frames: Sequence[Frame], statuses: Sequence[Serving | NoBank], stages: StageClock
    ) -> list[Inspected | BadFrame]:
        """What each frame shows, in order; `statuses` says by which bank each is to be scored."""
        with stages.timed("decode"):
            decoded = list(self._pool.map(self._decoded, frames, statuses))
        waiting = [
            _Waiting(place, shaped, status)
            for place, (shaped, status) in enumerate(zip(decoded, statuses, strict=True))
            if isinstance(shaped, _Shaped) and isinstance(status, Serving)
        ]
        evidence = self._evidence(waiting, stages)
        shared = {name: stages.seconds[name] / len(waiting) for name in ("embed", "search", "score") if waiting}
        return [
            each if isinstance(each, BadFrame) else _inspected(each, evidence.get(place), shared)
            for place, each in enumerate(decoded)
        ]

    def _decoded(self, frame: Frame, status: Serving | NoBank) -> _Shaped | BadFrame:
        """Fetch what it claims, decode, shape and measure one frame; runs in the pool."""
        started = self._clock()
        geometry, baseline = NO_BANK_GEOMETRY, InputBaseline()
        if isinstance(status, Serving):
            geometry, baseline = status.bank.manifest.geometry, status.baseline
        try:
            shaped = self._decoder.shaped(self._claims.encoded(frame), geometry, view=frame.view)
            seen = _seen(shaped.pixels, baseline, geometry, size_wh_px=shaped.size_wh_px)
            if isinstance(status, Serving):
                seen = replace(seen, unlike_size=not status.bank.manifest.frame_px.fit(shaped.size_wh_px))
        except BadFrame as refusal:
            return refusal
        except UndecodableImage as error:
            return BadFrame(DeadLetterReason(error.reason), str(error))
        except Exception as error:  # whatever one picture does to a decoder, the line goes on
            log.exception("decoder_failed", source=str(frame.source))
            return BadFrame(DeadLetterReason.CORRUPT, f"{type(error).__name__}: {error}")
        return _Shaped(shaped.pixels, seen, self._clock() - started)

    def _evidence(self, waiting: Sequence[_Waiting], stages: StageClock) -> dict[int, ScoreEvidence]:
        """By place in the batch; frames that could not be scored are left out."""
        found: dict[int, ScoreEvidence] = {}
        for members in _grouped(waiting, _network_input):
            found |= self._guarded(members, lambda some: self._embed_and_score(some, stages))
        return found

    def _guarded(
        self, members: Sequence[_Waiting], work: Callable[[Sequence[_Waiting]], dict[int, ScoreEvidence]]
    ) -> dict[int, ScoreEvidence]:
        """Where a group fails, each of its frames is tried alone: one bad frame must not take others with it."""
        try:
            return work(members)
        except Exception as error:
            if len(members) == 1:
                log.exception("frame_not_scored", view=members[0].serving.bank.manifest.view)
                return {}
            log.warning("batch_not_scored", frames=len(members), cause=f"{type(error).__name__}: {error}")
        return {place: each for one in members for place, each in self._guarded([one], work).items()}

    def _embed_and_score(self, members: Sequence[_Waiting], stages: StageClock) -> dict[int, ScoreEvidence]:
        with stages.timed("embed"):
            embedder = self._embedder.with_features(members[0].serving.bank.manifest.features)
            embeddings = embedder.embed(np.stack([each.shaped.pixels for each in members]))
        found: dict[int, ScoreEvidence] = {}
        for group in _grouped(list(enumerate(members)), lambda each: id(each[1].serving)):
            # All frames of one bank is the common case, and half a megabyte a frame need not be copied for it.
            own = embeddings if len(group) == len(members) else embeddings[[row for row, _ in group]]
            with stages.timed("search"):
                serving = group[0][1].serving
                scores = serving.scorer.score(own)
                no_part = [serving.shows_no_part(*each) for each in zip([s.score for s in scores], own, strict=True)]
            with stages.timed("score"):
                means = serving.scorer.mean_patches(own)
                found |= self._shown([each for _, each in group], scores, no_part, means)
        return found

    def _shown(
        self,
        members: Sequence[_Waiting],
        scores: Sequence[FrameScore],
        no_part: Sequence[bool],
        mean_patches: np.ndarray,
    ) -> dict[int, ScoreEvidence]:
        return {
            each.place: evidence_of(
                score,
                mean,
                each.serving,
                self._embedder,
                no_part=empty,
                source_wh=each.shaped.seen.size_wh_px,
            )
            for each, score, empty, mean in zip(members, scores, no_part, mean_patches, strict=True)
        }


def _network_input(waiting: _Waiting) -> tuple[tuple[int, ...], str]:
    """Frames that agree in this are embedded together."""
    return waiting.shaped.pixels.shape, waiting.serving.bank.manifest.features


def _inspected(shaped: _Shaped, evidence: ScoreEvidence | None, shared: dict[str, float]) -> Inspected:
    return Inspected(shaped.seen, evidence, {"decode": shaped.decode_seconds} | (shared if evidence else {}))


def _seen(pixels: np.ndarray, baseline: InputBaseline, geometry: FrameGeometry, *, size_wh_px: tuple[int, int]) -> Seen:
    """Measured on the network's input, as the bank's calibration is, so that it compares whatever the resolution."""
    measured = measure(pixels, geometry.inspected(size_wh_px))
    return Seen(
        image=ImageFacts(
            brightness=measured.brightness * GRAY_LEVELS,
            contrast=measured.contrast * GRAY_LEVELS,
            sharpness=measured.sharpness,
            dark_ratio=measured.dark_ratio,
            saturated_ratio=measured.saturated_ratio,
        ),
        size_wh_px=size_wh_px,
        difference_hash=difference_hash(pixels),
        thumbnail=FrameThumbnail.of(pixels),
        exposure_fault=exposure_fault(measured, baseline),
    )


def _grouped(members: Sequence[Any], key: Callable[[Any], Hashable]) -> list[list[Any]]:
    """Members with equal keys together, in the order they first appear."""
    groups: dict[Hashable, list[Any]] = defaultdict(list)
    for each in members:
        groups[key(each)].append(each)
    return list(groups.values())
