"""The sizes that a view's frames have, and whether another frame is one of them."""

from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt

SIZE_TOLERANCE = 1.1
"""By which a frame may be smaller than the smallest of a window, or its aspect ratio differ: a crop by a few pixels."""


class FrameSizes(BaseModel):
    """The sizes of a window's frames as they came, in pixels: the most frequent one, and the extremes.

    An aspect ratio is width over height.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    width_px: PositiveInt
    height_px: PositiveInt
    least_width_px: PositiveInt
    least_height_px: PositiveInt
    least_aspect: PositiveFloat
    most_aspect: PositiveFloat

    def fit(self, size_wh: tuple[int, int]) -> bool:
        """Whether a frame of this size shows what those showed: not much smaller, nor of another aspect ratio."""
        width, height = (side * SIZE_TOLERANCE for side in size_wh)
        aspect = size_wh[0] / size_wh[1]
        large_enough = width >= self.least_width_px and height >= self.least_height_px
        return large_enough and self.least_aspect / SIZE_TOLERANCE <= aspect <= self.most_aspect * SIZE_TOLERANCE

    @classmethod
    def of(cls, sizes_wh: Sequence[tuple[int, int]]) -> "FrameSizes":
        """Of frames of these widths and heights."""
        width, height = Counter(sizes_wh).most_common(1)[0][0]
        aspects = [each_width / each_height for each_width, each_height in sizes_wh]
        return cls(
            width_px=width,
            height_px=height,
            least_width_px=min(each_width for each_width, _ in sizes_wh),
            least_height_px=min(each_height for _, each_height in sizes_wh),
            least_aspect=min(aspects),
            most_aspect=max(aspects),
        )
