"""Many pictures by one bank: each becomes a row with its figures, or with the reason why it has none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from softpatch.images.decode import UndecodableImage
from softpatch.images.folders import read_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from deploy.offline.score_image import ImageScorer


@dataclass(frozen=True)
class ScoreRow:
    """One picture: what `ScoredImage.to_json` gives, or why it could not be scored."""

    image: str
    figures: dict[str, object] | None
    error: str | None = None

    def to_json(self) -> dict[str, object]:
        """For scripts; a picture without a score has only its error."""
        return {"image": self.image, **(self.figures or {}), "error": self.error}


def pictures_among(paths: Iterable[Path]) -> list[Path]:
    """Files as they are, and the pictures of each folder, as `patchline build` finds them. Raises NoImages."""
    pictures: list[Path] = []
    for path in paths:
        pictures += [image.path for image in read_folder(path).images] if path.is_dir() else [path]
    return pictures


def score_files(pictures: Iterable[Path], scorer: ImageScorer) -> Iterator[ScoreRow]:
    """A row for each picture, in order, scored as it is iterated."""
    for path in pictures:
        try:
            figures = scorer.score(path.read_bytes()).to_json()
        except UndecodableImage as error:
            yield ScoreRow(str(path), None, str(error))
        except OSError as error:
            yield ScoreRow(str(path), None, f"cannot read it: {error.strerror}")
        else:
            yield ScoreRow(str(path), figures)
