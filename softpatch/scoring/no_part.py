"""Frames without a part, told by the patches of frames that a person said show none."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32

from softpatch.bank import Bank
from softpatch.scoring.search import Search


class NoPartCheck:
    """Whether a frame that does not pass shows no part at all: then it is as near to such frames as they are."""

    def __init__(self, search: Search, *, limit: float, blur_cells: float) -> None:
        self._search = search
        self._limit = limit
        self._blur_cells = blur_cells

    @classmethod
    def of(cls, bank: Bank, make_search: Callable[[np.ndarray], Search]) -> "NoPartCheck | None":
        """The check of a bank; None where nobody has shown it a frame without a part."""
        if bank.no_part_vectors is None or bank.manifest.no_part_limit is None:
            return None
        limit, blur_cells = bank.manifest.no_part_limit, bank.scoring.blur_cells
        return cls(make_search(bank.no_part_vectors), limit=limit, blur_cells=blur_cells)

    def shows_no_part(self, embedding: Float32[Any, "p q d"]) -> bool:
        """True where no patch is farther from the patches of frames without a part than the limit."""
        return distance_to(self._search, embedding, blur_cells=self._blur_cells) <= self._limit


def distance_to(search: Search, embedding: Float32[Any, "p q d"], *, blur_cells: float) -> float:
    """The largest distance of a frame's patches to their nearest, after the blur of patch scores; L2.

    The embedding may lie on a device where the search takes it there.
    """
    rows, columns, dimension = embedding.shape
    distance = search.nearest(embedding.reshape(-1, dimension)).distance.reshape(rows, columns)
    if blur_cells:
        distance = np.asarray(cv2.GaussianBlur(distance, (0, 0), blur_cells, borderType=cv2.BORDER_REFLECT))
    return float(distance.max())
