"""Where parts lie turned: what differs at its place of the part is not learnt, and what repeats there is a group."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from softpatch.building.embedding_buffer import MemoryBuffer
from softpatch.building.fit import Fit, fit
from softpatch.building.frame_reading import WHOLE_FRAMES
from softpatch.building.label_window import KnownLabels
from softpatch.building.labels import Exemplars, LabelledFrames
from softpatch.building.turned_window import FEWEST_FRAMES, TurnedWindow, turned_window
from softpatch.building.upright_frames import UprightFrames, upright_frames
from softpatch.images.geometry import Geometry
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from softpatch.settings import BuildSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jaxtyping import Float32, Int64

FRAMES, ROWS, COLUMNS, DIMENSION = 80, 5, 12, 16
GRID = (9, 9)
SETTINGS = BuildSettings(coreset_cap=400)


def buffer_of(embeddings: Float32[np.ndarray, "n p q d"]) -> MemoryBuffer:
    """As a build holds them."""
    buffer = MemoryBuffer(len(embeddings), embeddings.shape[1:])
    buffer.append(embeddings)
    return buffer


def cuts(frames: int = FRAMES, *, seed: int = 0) -> Float32[np.ndarray, "n r c d"]:
    """Every place of the part has a mean of its own, every part its own small variation."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=(ROWS, COLUMNS, DIMENSION)) * 3
    return (mean + rng.normal(size=(frames, ROWS, COLUMNS, DIMENSION))).astype(np.float32)


def with_spots(embeddings: np.ndarray, carriers: Sequence[int], *, alike: bool, seed: int = 1) -> np.ndarray:
    """The carriers differ at one place: all in the same way at the same place, or each in its own."""
    rng = np.random.default_rng(seed)
    marked = embeddings.copy()
    same = 2.5 * rng.normal(size=DIMENSION)
    for frame in carriers:
        row, column = (2, 6) if alike else rng.integers(0, (ROWS, COLUMNS))
        marked[frame, row, column] += same if alike else 2.5 * rng.normal(size=DIMENSION)
    return marked


def upright(embeddings: Float32[np.ndarray, "n r c d"], *, seed: int = 2) -> UprightFrames:
    """Those cuts, each of which shows some place of its frame."""
    rng = np.random.default_rng(seed)
    places: Int64[np.ndarray, "n p q"] = np.full((len(embeddings), *GRID), -1)
    for its in places.reshape(len(places), -1):
        its[rng.permutation(its.size)[: ROWS * COLUMNS]] = np.arange(ROWS * COLUMNS)
    return UprightFrames(buffer_of(embeddings), places, np.ones(embeddings.shape[:3], np.bool_))


def looked_at(
    embeddings: np.ndarray, settings: BuildSettings = SETTINGS, *, frames: int | None = None
) -> TurnedWindow | None:
    """What a window of those cuts shows."""
    return turned_window(upright(embeddings), settings, window_frames=len(embeddings) if frames is None else frames)


def test_what_differs_in_each_part_otherwise_is_doubted() -> None:
    """A tenth of the frames, all of them and few others, and the place of the frame that shows it."""
    embeddings = with_spots(cuts(), range(8), alike=False)
    seen = looked_at(embeddings)
    assert seen is not None
    assert seen.doubtful[:8].all()
    assert seen.doubtful[8:].mean() < 0.06
    assert not seen.suspicious[~seen.doubtful].any()
    places = upright(embeddings).places
    for frame in range(8):
        at = np.abs(embeddings[frame] - cuts()[frame]).sum(axis=-1).argmax()
        assert seen.suspicious[frame][places[frame] == at].all()
    assert seen.suspicious[:8].mean() < 0.45
    assert not seen.groups


def test_clean_windows_ask_nothing_and_doubt_little() -> None:
    """Of frames of which none is defective; single windows are told less surely."""
    seen = [looked_at(cuts(200, seed=seed)) for seed in range(6)]
    assert all(each is not None and not each.groups for each in seen)
    assert np.mean([each.doubtful.mean() for each in seen if each is not None]) < 0.06


@pytest.mark.parametrize("carriers", [6, 12, 24])
def test_what_repeats_at_a_place_of_the_part_is_one_group(carriers: int) -> None:
    """With all who carry it and no one else, wherever that is on each frame; none where groups are to be learnt."""
    embeddings = with_spots(cuts(), range(carriers), alike=True)
    seen = looked_at(embeddings)
    assert seen is not None
    assert [sorted(group.frames) for group in seen.groups] == [list(range(carriers))]
    (group,) = seen.groups
    assert group.frame_cells is not None
    places = upright(embeddings).places
    for frame, cells in zip(group.frames, group.frame_cells, strict=True):
        assert cells[places[frame] == 2 * COLUMNS + 6].all()
    np.testing.assert_array_equal(group.cells, group.frame_cells[group.frames.index(group.representative)])
    assert group.core.any()
    assert not (group.core & ~group.cells).any()
    learns = looked_at(embeddings, SETTINGS.model_copy(update={"groups": "learn"}))
    assert learns is not None
    assert not learns.groups


def test_parts_that_do_not_lie_alike_in_their_cuts_are_left_to_others() -> None:
    """A pose that means nothing: the same patches are there, at other places in every cut."""
    rng = np.random.default_rng(0)
    texture = rng.normal(size=(ROWS * COLUMNS, DIMENSION)) * 9
    mixed = np.stack([texture[rng.permutation(len(texture))] for _ in range(FRAMES)]).astype(np.float32)
    assert looked_at(mixed.reshape(FRAMES, ROWS, COLUMNS, DIMENSION)) is None


def test_a_short_window_is_left_to_others() -> None:
    """A twentieth of its frames would be one."""
    assert looked_at(cuts(FEWEST_FRAMES - 1)) is None
    assert looked_at(cuts(FEWEST_FRAMES)) is not None


def test_a_group_is_shown_even_where_no_patch_of_its_frame_has_its_middle_there() -> None:
    """A place is what people are asked about: around it, or the whole frame."""
    read = upright(with_spots(cuts(), range(12), alike=True))
    elsewhere = replace(read, places=np.where(read.places == 2 * COLUMNS + 6, -1, read.places))
    nowhere = replace(read, places=np.full_like(read.places, -1))
    for its, most in ((elsewhere, 0.5), (nowhere, 1.0)):
        seen = turned_window(its, SETTINGS, window_frames=FRAMES)
        assert seen is not None
        assert 0 < seen.groups[0].core.mean() <= most


def test_a_frame_without_others_in_its_group_stands_for_nothing() -> None:
    """As by every discriminator."""
    marked = with_spots(cuts(31), [3, 15], alike=False)
    seen = looked_at(marked, SETTINGS.model_copy(update={"group_frames": 2, "groups": "learn"}))
    assert seen is not None
    assert seen.doubtful[3]
    assert not seen.doubtful[15]


def test_beyond_the_border_nothing_is_suspicious() -> None:
    """What a cut shows there is made up."""
    read = upright(with_spots(cuts(), range(8), alike=False))
    seen = turned_window(replace(read, shown=~read.shown), SETTINGS, window_frames=FRAMES)
    assert seen is not None
    assert not seen.doubtful.any()


def test_frames_behind_the_window_are_compared_with_but_never_doubted() -> None:
    """They have a person's word."""
    embeddings = with_spots(cuts(FRAMES + 2), [0, FRAMES, FRAMES + 1], alike=False)
    seen = looked_at(embeddings, frames=FRAMES)
    assert seen is not None
    assert seen.doubtful.shape == (FRAMES,)
    assert seen.doubtful[0]
    assert not seen.suspicious[FRAMES:].any()


def turned_line(seed: int = 3, frames: int = FRAMES) -> Float32[np.ndarray, "n p q d"]:
    """As frames show it: one texture, shifted."""
    rng = np.random.default_rng(seed)
    texture = rng.normal(size=(13, 13, DIMENSION)) * 3
    starts = rng.integers(0, 4, size=(frames, 2))
    shown = np.stack([texture[r : r + 9, q : q + 9] for r, q in starts])
    return (shown + rng.normal(size=shown.shape) * 0.3).astype(np.float32)


def fitted(read: UprightFrames | None, known: KnownLabels | None = None) -> Fit:
    """The bank of a window that lies turned, and that reading of it."""
    frames = FRAMES if read is None else len(read.embeddings)
    with ThreadPoolExecutor(1) as pool:
        return fit(buffer_of(turned_line(frames=frames)), SETTINGS, pool, known=known, upright=lambda: read)


def test_what_is_doubted_enters_neither_bank_nor_threshold() -> None:
    """Not as an untrusted patch either, and nobody is asked."""
    read = upright(with_spots(cuts(), range(8), alike=False))
    seen = turned_window(read, SETTINGS, window_frames=FRAMES)
    with_cuts = fitted(read)
    assert seen is not None
    assert not with_cuts.mask.aligned
    np.testing.assert_array_equal(with_cuts.labels.not_learnt, seen.doubtful)
    patches = with_cuts.bank.patches
    assert not seen.suspicious[patches.frame, patches.position[:, 0], patches.position[:, 1]].any()
    assert not with_cuts.mask.untrusted[seen.suspicious].any()
    assert not with_cuts.labels.groups


def test_without_another_reading_a_turned_window_is_learnt_as_before() -> None:
    """To the last bit."""
    without = fitted(None)
    with ThreadPoolExecutor(1) as pool:
        before = fit(buffer_of(turned_line()), SETTINGS, pool)
    np.testing.assert_array_equal(without.bank.patches.vectors, before.bank.patches.vectors)
    np.testing.assert_array_equal(without.labels.not_learnt, before.labels.not_learnt)


def test_a_person_who_calls_a_frame_good_is_believed() -> None:
    """A doubtful frame with that word is learnt, and counts."""
    read = upright(with_spots(cuts(FRAMES + 1), [*range(8), FRAMES], alike=False))
    word = LabelledFrames("w1", "good", "feedback", None, (b"",))
    told = KnownLabels(FRAMES, [Exemplars(word, (0, FRAMES), np.ones(GRID, np.bool_))])
    with_word, without = fitted(read, told).labels, fitted(read, KnownLabels(FRAMES)).labels
    assert without.not_learnt[:8].all()
    assert without.patches.excluded[0].any()
    assert not with_word.not_learnt[0]
    assert not with_word.patches.excluded[0].any()
    assert with_word.not_learnt[1:8].all()


def test_parts_that_lie_alike_are_not_read_again() -> None:
    """The second reading is for those that lie turned."""

    def never() -> UprightFrames | None:
        raise AssertionError("read again")

    with ThreadPoolExecutor(1) as pool:
        assert fit(buffer_of(cuts()), SETTINGS, pool, upright=never).mask.aligned


@pytest.mark.images
def test_scratched_heads_of_real_screws_are_doubted(test_data: Path) -> None:
    """Eight among 120 turned screws, one kind of real defect: most of them, few good ones, and no question."""
    screw = test_data / "mvtec_ad" / "screw"
    good = sorted((screw / "train" / "good").iterdir())[::2][:112]
    scratched = sorted((screw / "test" / "scratch_head").iterdir())[:8]
    embedder = OnnxEmbedder.open(lite0(), provider="cpu", threads=2).with_features("medium")
    with ThreadPoolExecutor(2) as pool:
        read = upright_frames(
            [file.read_bytes() for file in (*scratched, *good)],
            WHOLE_FRAMES.of(Geometry(height_px=448, width_px=448)),
            embedder,
            grid=(28, 28),
            max_pixels=10**7,
            pool=pool,
            progress=lambda _done, _total: None,
        )
    assert read is not None
    seen = turned_window(read, BuildSettings(), window_frames=120)
    assert seen is not None
    assert seen.doubtful[:8].sum() >= 6
    assert seen.doubtful[8:].mean() < 0.1
    assert not seen.groups
