"""The result of one experiment as one line of JSON."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

RowKey = tuple[str, str, str, str, str, float, int]
Answer = Literal["good", "defect"]


class Question(BaseModel):
    """A group that a person is asked about: its frames of the window, how many are defective, and what was answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frames: int
    defective: int
    answer: Answer | None
    """None: nobody answered, and the group was not learnt."""


class Row(BaseModel):
    """One method in one setting on one window. Pixel metrics are null where the data set has no masks."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str
    category: str
    backbone: str
    method: str
    setting: str
    noise: float
    seed: int
    input: str
    """Width x height in pixels of the network's input, and the features."""
    image_auroc: float
    pixel_auroc: float | None
    pro: float | None
    average_precision: float | None
    build_seconds: float
    score_seconds: float
    questions: tuple[Question, ...] | None = None
    """What the method asks about its window; None in rows of before questions were counted."""

    @property
    def key(self) -> RowKey:
        """What makes it that experiment and no other: a run that finds it done passes it over."""
        return (self.dataset, self.category, self.backbone, self.method, self.setting, self.noise, self.seed)


class FrameScores(BaseModel):
    """The scores behind a row, in the order of the category's test frames; what a paired bootstrap needs."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    key: RowKey
    scores: tuple[float, ...]
    tested: tuple[int, ...]
    """Places of the frames that the setting tests."""
