"""Ours: the expected distance of a patch to its nearest neighbour in a random half of the other frames."""

from typing import no_type_check

import numpy as np
from jaxtyping import Float32
from numba import njit

NEIGHBOURHOOD = 1
"""Positions searched around a patch's own, on each side: parts are not placed to the pixel."""

COARSEST = 14
"""A grid of twice this a side, or more, is sampled in steps that leave this many positions; each gives its block the
factor. The neighbourhoods searched cover most of a block, and four times the work gave no better result."""

DEEPEST = 12
"""Neighbours counted at most; the next would weigh less than 0.0003."""

_ROUNDING = np.float32(4e-6)
"""Squared distances below this share of the squared norms are rounding errors of the GEMM, hence zero."""


class ExpectedNearest:
    """Expected L2 distance to the nearest neighbour in a random half of the other frames.

    Of each other frame the nearest patch within one position counts. With the distances to them in order, the k-th is
    the nearest that is left with probability `inclusion * (1 - inclusion) ** k`. So a defect that shows twice is still
    suspicious, where SoftPatch's nearest distance (Eq. 1, inclusion 1) calls it normal; and unlike LOF (Eq. 6) it does
    not accept a patch because its few neighbours are outliers as well.
    """

    def __init__(self, inclusion: float | None = None) -> None:
        inclusion = INCLUSION if inclusion is None else inclusion
        if not 0 < inclusion <= 1:
            raise ValueError(f"inclusion is {inclusion}; it is a probability above 0")
        self._inclusion = inclusion

    def factors(
        self, embeddings: Float32[np.ndarray, "n p q d"], *, noise_floor: float
    ) -> Float32[np.ndarray, "n p q"]:
        """Distances, at least the noise floor; ones where there is no other frame, so that nothing stands out."""
        frames, rows, columns, dimension = embeddings.shape
        if frames < 2:  # noqa: PLR2004 - one frame has no other
            return np.ones(embeddings.shape[:3], np.float32)
        weights = _weights(self._inclusion, min(DEEPEST, frames - 1))
        # Distances do not depend on the centre, but float32 does: away from the origin the GEMM loses digits.
        centred = embeddings - embeddings.mean(axis=0, keepdims=True).mean(axis=(1, 2), keepdims=True)
        norms = np.einsum("npqd,npqd->npq", centred, centred)
        step = max(1, min(rows, columns) // COARSEST)
        out = np.empty((frames, rows, columns), np.float32)
        for row in range(0, rows, step):
            for column in range(0, columns, step):
                around = (
                    slice(None),
                    *(slice(max(0, c - NEIGHBOURHOOD), c + NEIGHBOURHOOD + 1) for c in (row, column)),
                )
                keys = centred[around].reshape(-1, dimension)
                products = centred[:, row, column] @ keys.T
                key_norms = np.ascontiguousarray(norms[around].reshape(frames, -1))
                own = np.ascontiguousarray(norms[:, row, column])
                factors = _expected(products, own, key_norms, weights, _ROUNDING)
                out[:, row : row + step, column : column + step] = factors[:, None, None]
        return np.maximum(out, np.float32(noise_floor))


INCLUSION = 0.5
"""Share of the other frames that are there to be the nearest."""


def expected_nearest(squared: Float32[np.ndarray, "a b"], *, leave_out: int) -> Float32[np.ndarray, "a"]:
    """Of each frame, by its squared distances to the other frames, as if so many of the nearest were not there."""
    weights = _weights(INCLUSION, min(DEEPEST, squared.shape[1] - leave_out))
    nearest = np.sort(squared, axis=1)[:, leave_out : leave_out + len(weights)]
    return np.asarray(np.sqrt(nearest) @ weights, np.float32)


def _weights(inclusion: float, count: int) -> Float32[np.ndarray, "count"]:
    """Probability that the k-th nearest frame is the nearest included one, given that one of `count` is."""
    chances = inclusion * np.power(1 - inclusion, np.arange(count), dtype=np.float64)
    return np.asarray(chances / chances.sum(), np.float32)


@njit(cache=True, nogil=True)
@no_type_check
def _expected(products, own, key_norms, weights, rounding):  # noqa: ANN001, ANN202 - numba infers them
    frames, around = key_norms.shape
    count = weights.shape[0]
    nearest = np.empty(count, np.float32)
    out = np.empty(frames, np.float32)
    for i in range(frames):
        nearest[:] = np.inf
        for j in range(frames):
            if j == i:
                continue
            squared = np.float32(np.inf)
            for a in range(around):
                norms = own[i] + key_norms[j, a]
                candidate = norms - 2 * products[i, j * around + a]
                if candidate < rounding * norms:
                    candidate = np.float32(0)
                squared = min(squared, candidate)
            if squared < nearest[count - 1]:
                place = count - 1
                while place > 0 and squared < nearest[place - 1]:
                    nearest[place] = nearest[place - 1]
                    place -= 1
                nearest[place] = squared
        total = np.float32(0)
        for k in range(count):
            total += weights[k] * np.sqrt(nearest[k])
        out[i] = total
    return out
