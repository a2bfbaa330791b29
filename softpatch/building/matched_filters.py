"""Matched filters: which frames of a window differ from the others in the same way at one place.

The difference that a mark makes is the same in every frame that carries it; natural differences are not. Patches are
whitened, so that what differs naturally everywhere counts less, and centred per position. The mean of the carriers is
then a filter that carriers alone respond to, and between their responses and the others' there is a gap. A frame's
response is to the mean of the other carriers: no frame is part of its own filter.
"""

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float32
from numba import njit

COARSEST = 14
"""Places a side, at most, as for expected-nearest: a finer grid is looked at in blocks of patches."""

RIDGE = 0.03
"""Added to every variance before whitening, in units of their mean: rare directions must not dominate."""

MOST_SHARE = 0.4
"""A larger part of the window is not the few: beyond it nobody can say which part is the good one."""

ROUNDS = 4
"""A filter is made anew from the frames that respond to it, this often at most; most are settled after two."""

EIGEN_SEEDS, ROW_SEEDS = 8, 12
"""Directions of the largest spread (either side), and single frames with the clearest gap, from which filters grow."""


@dataclass(frozen=True)
class FilterResponse:
    """A filter at one place, and its carriers.

    `gap` is between the least of them and the greatest of the others, `lead` between their median and the same: both
    in standard deviations of the others' responses.
    """

    row: int
    column: int
    members: Bool[np.ndarray, "n"]
    gap: float
    lead: float


def whitened(projected: Float32[np.ndarray, "n p q d"]) -> Float32[np.ndarray, "n p q d"]:
    """Centred per position, and with the spread of all positions together made alike in every direction."""
    centred = projected - projected.mean(axis=0)
    rows = centred.reshape(-1, centred.shape[-1])
    covariance = rows.T @ rows / len(rows)
    values, vectors = np.linalg.eigh(covariance.astype(np.float64))
    scale = 1 / np.sqrt(np.maximum(values, 0) + RIDGE * values.mean() + np.finfo(np.float32).tiny)
    return np.asarray(centred @ np.asarray((vectors * scale) @ vectors.T, np.float32))


def filter_responses(projected: Float32[np.ndarray, "n p q d"], *, least_gap: float) -> list[FilterResponse]:
    """The filters of every place whose gap is large enough; the same frames may be found at many places."""
    frames, rows, columns, _ = projected.shape
    patches, step = whitened(projected), max(1, min(rows, columns) // COARSEST)
    found = []
    for row in range(0, rows, step):
        for column in range(0, columns, step):
            block = patches[:, row : row + step, column : column + step].reshape(frames, -1)
            found += _at_place(block, row, column, least_gap)
    return found


def filter_response(likeness: Float32[np.ndarray, "n n"], members: Bool[np.ndarray, "n"]) -> Float32[np.ndarray, "n"]:
    """Every frame's response to the mean of the members less that of the others, itself left out.

    There are two members at least, and two others. `likeness` are the inner products of all frames' whitened patches at
    the filter's place.
    """
    response = np.empty(len(likeness), np.float32)
    _respond(likeness, np.flatnonzero(members), members, response)
    return response


def _at_place(block: Float32[np.ndarray, "n k"], row: int, column: int, least_gap: float) -> list[FilterResponse]:
    likeness = block @ block.T
    most = int(MOST_SHARE * len(block))
    gaps, leads, members = _settled(likeness, _seeds(likeness, most), most, ROUNDS)
    found, seen = [], set()
    for which in np.argsort(-gaps).tolist():
        gap = float(gaps[which])
        if gap < least_gap:
            break
        if (key := members[which].tobytes()) not in seen:
            seen.add(key)
            found.append(FilterResponse(row, column, members[which], gap, float(leads[which])))
    return found


def _seeds(likeness: Float32[np.ndarray, "n n"], most: int) -> Float32[np.ndarray, "seeds n"]:
    """First responses of all frames: along directions of the largest spread, and to single frames with a clear gap."""
    spread = _leading(likeness, EIGEN_SEEDS)
    off = likeness.copy()
    np.fill_diagonal(off, -np.inf)
    ordered = -np.sort(-off, axis=1)[:, : most + 1]
    spacings = (ordered[:, :-1] - ordered[:, 1:]) * np.arange(2, most + 2, dtype=np.float32)
    clear_gap = spacings.max(axis=1) / np.maximum(np.sqrt(np.square(likeness).mean(axis=1)), np.finfo(np.float32).tiny)
    chosen = np.argsort(-clear_gap)[:ROW_SEEDS]
    np.fill_diagonal(off, np.inf)
    return np.concatenate([spread, -spread, off[chosen]])


def _leading(likeness: Float32[np.ndarray, "n n"], count: int) -> Float32[np.ndarray, "count n"]:
    """The leading eigenvectors, nearly: a few steps of subspace iteration are enough to begin with."""
    start = np.random.default_rng(0).standard_normal((len(likeness), min(count, len(likeness)))).astype(np.float32)
    basis = np.linalg.qr(likeness @ start)[0]
    for _ in range(4):
        basis = np.linalg.qr(likeness @ basis)[0]
    small = basis.T @ likeness @ basis
    return np.ascontiguousarray((basis @ np.linalg.eigh(small)[1]).T)


@njit(cache=True, nogil=True)
@no_type_check
def _settled(likeness, seeds, most, rounds):  # noqa: ANN001, ANN202 - numba infers them
    """Per seed: the gap below the members that its filter settles on, the lead of their median, and these."""
    count, frames = seeds.shape
    gaps, leads = np.zeros(count, np.float32), np.zeros(count, np.float32)
    members = np.zeros((count, frames), np.bool_)
    for s in range(count):
        response, mine = seeds[s].copy(), members[s]
        for _ in range(rounds):
            order = np.argsort(-response)
            size = _clearest_size(response, order, most)
            same = True
            for r in range(frames):
                same &= mine[order[r]] == (r < size)
                mine[order[r]] = r < size
            if same:
                break
            _respond(likeness, order[:size], mine, response)
        gaps[s], leads[s] = _gap_and_lead(response, mine)
    return gaps, leads, members


@njit(cache=True, nogil=True)
@no_type_check
def _clearest_size(response, order, most):  # noqa: ANN001, ANN202 - numba infers them
    """How many respond before the clearest gap: the r-th spacing of a tail is 1 / r of the first (Renyi); r weighs."""
    best, size = np.float32(-1), 2
    for r in range(2, most + 1):
        spacing = r * (response[order[r - 1]] - response[order[r]])
        if spacing > best:
            best, size = spacing, r
    return size


@njit(cache=True, nogil=True)
@no_type_check
def _respond(likeness, chosen, mine, response):  # noqa: ANN001, ANN202 - numba infers them
    """Every frame's response to the mean of the chosen less that of the rest, itself left out of both."""
    frames, size = len(response), len(chosen)
    response[:] = 0
    for k in chosen:
        for j in range(frames):
            response[j] += likeness[k, j]
    for j in range(frames):
        own = response[j]
        if mine[j]:
            response[j] = (own - likeness[j, j]) / (size - 1) + own / (frames - size)
        else:
            response[j] = own / size + (own + likeness[j, j]) / (frames - size - 1)


@njit(cache=True, nogil=True)
@no_type_check
def _gap_and_lead(response, mine):  # noqa: ANN001, ANN202 - numba infers them
    """From the least of the members, and from their median, to the greatest of the others, in deviations of these."""
    lowest, highest = np.float32(np.inf), np.float32(-np.inf)
    total, square, others = 0.0, 0.0, 0
    for j in range(len(response)):
        if mine[j]:
            lowest = min(lowest, response[j])
        else:
            highest = max(highest, response[j])
            total += response[j]
            square += response[j] * response[j]
            others += 1
    mean = total / others
    deviation = np.sqrt(max(square / others - mean * mean, 1e-12))
    return (lowest - highest) / deviation, (np.median(response[mine]) - highest) / deviation
