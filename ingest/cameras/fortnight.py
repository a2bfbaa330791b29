"""Fourteen days of one camera, with the truth: what a line does to a bank that rebuilds for ever.

A lamp fades by a fifth over all of it. From day 4 on a good variant comes along, from day 6 on a tool leaves the same
mark on ever more parts, days 9 and 10 are an idle weekend, on day 11 the camera is knocked and put back, on day 12 dust
settles on the lens and is wiped off overnight. Scattered defects occur throughout. Times are the line's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from ingest.cameras.faults import JPEG_QUALITY, Knock
from ingest.cameras.simulator import Simulator
from ingest.cameras.source import GOOD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest.cameras.surfaces import Picture

Truth = Literal["good", "variant", "scattered", "repeating", "knocked", "dusty"]

DAYS = 14
IDLE_DAYS = (9, 10)
VARIANT_FROM, REPEATING_FROM = 4, 6
KNOCK_DAY, DUST_DAY = 11, 12
LAMP_LOSS = 0.2
SCATTERED_RATIO, VARIANT_RATIO = 0.03, 0.15
REPEATING_RATIOS = {6: 0.04, 7: 0.06, 8: 0.08, 11: 0.12, 12: 0.14, 13: 0.17, 14: 0.2}
KNOCKED_SHARES = (0.4, 0.7)
"""Of day 11, from when to when the camera stands askew."""
DUSTY_FROM = 0.3
"""Of day 12: the rest of it the lens is dusty."""
BEGINS = datetime(2026, 5, 1, 6, tzinfo=UTC)
SHIFT = timedelta(hours=8)
MARK_AT, MARK_RADIUS = (0.66, 0.33), 0.035
"""Place and size of the tool's mark, as shares of the frame."""
BAND_RADIUS, BAND_WIDTH = 0.24, 0.05
DUST_AT, DUST_RADIUS = (0.3, 0.62), 0.09
PLAY = 0.006
"""How far a mark lies from its place, as a share of the frame."""


@dataclass(frozen=True, eq=False)
class LineFrame:
    """One frame of the fortnight: what it shows, and when the line's clock says that it came."""

    encoded: bytes
    truth: Truth
    day: int
    at: datetime


@dataclass(frozen=True)
class Fortnight:
    """The same seed and size give the same frames. A day has `frames_per_day`, evenly over a shift of eight hours."""

    seed: int
    frames_per_day: int = 120
    size_px: int = 160
    knock: Knock = field(init=False)

    def __post_init__(self) -> None:
        """Draw the knock."""
        rng = np.random.default_rng([self.seed, 77])
        object.__setattr__(self, "knock", Knock.drawn(rng, about_px=0.08 * self.size_px))

    def day(self, day: int) -> Iterator[LineFrame]:
        """The frames of a day, 1 to 14, in order; none of an idle one."""
        if day in IDLE_DAYS:
            return
        for number in range(self.frames_per_day):
            share = number / self.frames_per_day
            yield self._frame(day, share, number)

    def _frame(self, day: int, share: float, number: int) -> LineFrame:
        index = day * self.frames_per_day + number
        rng = np.random.default_rng([self.seed, 78, index])
        taken = self._camera.frame(index)
        picture = cv2.imdecode(np.frombuffer(taken.encoded, np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise ValueError(f"the simulator's frame {index} cannot be decoded")
        truth: Truth = "good" if taken.label == GOOD else "scattered"
        if truth == "good" and _every(number, REPEATING_RATIOS.get(day, 0.0)):
            truth, picture = "repeating", self._marked(picture, rng)
        elif truth == "good" and day >= VARIANT_FROM and rng.random() < VARIANT_RATIO:
            truth, picture = "variant", self._banded(picture)
        picture = self._aged(picture, day + share)
        if day == KNOCK_DAY and KNOCKED_SHARES[0] <= share < KNOCKED_SHARES[1]:
            truth, picture = "knocked", self.knock.moved(picture)
        elif day == DUST_DAY and share >= DUSTY_FROM:
            truth, picture = "dusty", self._dusty(picture)
        encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
        at = BEGINS + timedelta(days=day - 1) + share * SHIFT
        return LineFrame(encoded, truth, day, at)

    def _aged(self, picture: Picture, days: float) -> Picture:
        factor = 1 - LAMP_LOSS * (days - 1) / DAYS
        return np.asarray(cv2.convertScaleAbs(picture, alpha=factor))

    def _marked(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """A dark pit, nearly at the same place."""
        x, y = (np.array(MARK_AT) + rng.uniform(-PLAY, PLAY, 2)) * self.size_px
        return self._spot(picture, (float(x), float(y)), MARK_RADIUS, depth=0.75, soft_px=0.8)

    def _dusty(self, picture: Picture) -> Picture:
        x, y = np.array(DUST_AT) * self.size_px
        return self._spot(picture, (float(x), float(y)), DUST_RADIUS, depth=0.45, soft_px=0.03 * self.size_px)

    def _spot(
        self, picture: Picture, centre_px: tuple[float, float], radius: float, *, depth: float, soft_px: float
    ) -> Picture:
        rows, columns = np.mgrid[: self.size_px, : self.size_px]
        inside = (np.hypot(columns - centre_px[0], rows - centre_px[1]) < radius * self.size_px).astype(np.float32)
        shade = 1 - depth * cv2.GaussianBlur(inside, (0, 0), soft_px)
        return _shaded(picture, shade)

    def _banded(self, picture: Picture) -> Picture:
        """A good variant: the same part with a blackened ring."""
        middle = (self.size_px - 1) / 2
        rows, columns = np.mgrid[: self.size_px, : self.size_px]
        distance = np.abs(np.hypot(columns - middle, rows - middle) - BAND_RADIUS * self.size_px)
        band = (distance < BAND_WIDTH * self.size_px / 2).astype(np.float32)
        shade = 1 - 0.5 * cv2.GaussianBlur(band, (0, 0), 0.8)
        return _shaded(picture, shade)

    @cached_property
    def _camera(self) -> Simulator:
        return Simulator(
            "ring",
            self.seed,
            clock=lambda: BEGINS,
            defect_ratio=SCATTERED_RATIO,
            severity_range=(0.4, 1.0),
            size_px=self.size_px,
        )


def _every(number: int, ratio: float) -> bool:
    """Whether a frame is one of a share that is spread evenly over all."""
    return int((number + 1) * ratio) > int(number * ratio)


def _shaded(picture: Picture, shade: np.ndarray) -> Picture:
    """The picture times a share of light for each pixel."""
    shaded: Picture = np.clip(np.rint(picture * shade[..., None]), 0, 255).astype(np.uint8)
    return shaded
