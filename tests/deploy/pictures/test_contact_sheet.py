"""The contact sheet shows the right frames, and heat where it belongs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deploy.pictures.annotated_frame import TRUTH, boxed, heated, outlined
from deploy.pictures.canvas import shortened, text_width
from deploy.pictures.contact_sheet import WIDTH, WORST, SheetHeader, choose, render, render_cards, title_of
from ingest.decision import Verdict
from monitoring.heat_map import decision_heat, on_source
from softpatch.images.geometry import Geometry
from tests.deploy.runs import decided, shown

SQUARE, FLAT = (96, 96), (160, 64)


def test_the_worst_frames_come_first_and_what_was_decided_wrongly_is_shown() -> None:
    """Misses and false rejects are not left out because they are awkward."""
    frames = [shown(2 + i / 10, label="crack", size_wh=SQUARE) for i in range(WORST)]
    missed = shown(0.3, label="crack", size_wh=SQUARE)
    rejected = shown(1.2, label="good", size_wh=SQUARE)
    good = [shown(0.1 * i, label="good", size_wh=SQUARE) for i in range(9)]
    chosen = choose([missed, *good, rejected, *frames], strip=4)
    assert [each.ratio for each in chosen.worst] == sorted((each.ratio for each in frames), reverse=True)
    assert chosen.missed == [missed]
    assert chosen.rejected == [rejected]
    assert [round(each.ratio, 1) for each in chosen.good] == [0.8, 0.5, 0.3, 0.0]


def test_every_wrong_decision_is_counted_where_only_some_are_shown() -> None:
    """Six misses on a sheet must not look like all there were."""
    missed = [shown(0.3 + i / 100, label="crack", size_wh=SQUARE) for i in range(WORST + 5)]
    assert len(choose(missed, strip=4).missed) == 5
    assert title_of("Missed", 5, room=4) == "Missed: 5, of which 4 are shown"
    assert title_of("Missed", 4, room=4) == "Missed: 4"


@pytest.mark.parametrize("size_wh", [SQUARE, FLAT])
def test_frames_of_any_shape_make_a_sheet(size_wh: tuple[int, int]) -> None:
    """Wide frames stand above each other, others side by side."""
    frames = [shown(ratio, label="good", size_wh=size_wh) for ratio in (0.2, 0.5, 1.4)]
    sheet = render(frames, SheetHeader("line-1", "three frames", [("failed", "1 of 3")]))
    assert sheet.shape[1:] == (WIDTH, 3)
    assert sheet.dtype == np.uint8
    assert len(np.unique(sheet.astype(np.uint32) @ (1 << 16, 1 << 8, 1))) > 100


def test_a_verdict_that_would_replace_another_says_both() -> None:
    """On cards, in groups with titles; the same frame without it is drawn otherwise."""
    frame = shown(1.4, size_wh=SQUARE)
    header = SheetHeader("line-1", "one frame", [])
    plain = render_cards([("Would have failed", [frame])], header)
    flipped = render_cards([("Would have failed", [replace(frame, was=Verdict.PASS)])], header)
    assert plain.shape == flipped.shape
    assert plain.shape[1] == WIDTH
    assert (plain != flipped).any()
    with pytest.raises(ValueError, match="at least one frame"):
        render_cards([("Would have failed", [])], header)


def test_frames_without_score_or_truth_are_shown_too() -> None:
    """An undecided frame of an unlabelled folder."""
    assert render([shown(None, size_wh=SQUARE)], SheetHeader("x", "y")).size


def test_no_frame_makes_no_sheet() -> None:
    """An empty picture would look like a good day."""
    with pytest.raises(ValueError, match="at least one decided frame"):
        render([], SheetHeader("x", "y"))


@pytest.mark.parametrize("mode", ["squash", "letterbox"])
@pytest.mark.parametrize("source_wh", [(448, 448), (560, 228), (100, 300)])
def test_heat_lies_where_the_patch_was(mode: str, source_wh: tuple[int, int]) -> None:
    """The hottest pixel of the frame falls into the box that geometry gives for the hottest patch."""
    geometry = Geometry(mode=mode, height_px=224, width_px=224)
    scores = np.full((28, 28), 0.1, np.float32)
    scores[15, 12] = 4.0
    heat = decision_heat(decided(2.0, patch_scores=scores), geometry, source_wh)
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    x0, y0, x1, y1 = geometry.source_box((96, 120, 104, 128), source_wh)
    assert heat.shape == source_wh[::-1]
    assert x0 <= x < x1
    assert y0 <= y < y1


def test_a_cropped_border_is_cold() -> None:
    """The network never saw it, so nothing may be claimed of it."""
    geometry = Geometry(mode="crop", height_px=224, width_px=224)
    heat = on_source(np.ones((224, 224), np.float32), geometry, (256, 256))
    assert heat[0].max() == 0
    assert heat[128, 128] == 1


def test_the_only_colour_is_suspicion() -> None:
    """Below the heat's beginning a frame is gray; above, it is coloured."""
    image = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    cold = heated(image, np.full((8, 8), 0.5, np.float32))
    hot = heated(image, np.full((8, 8), 2.0, np.float32))
    assert (cold == cold[..., :1]).all()
    assert (hot[..., 0] > hot[..., 1]).all()


def test_boxes_are_scaled_and_kept_inside() -> None:
    """A box at the frame's very edge is still seen on all four sides."""
    image = np.zeros((50, 100, 3), np.uint8)
    drawn = boxed(image, [(0, 0, 200, 100)], (0.5, 0.5))
    for side in (drawn[0:4].max(), drawn[-4:].max(), drawn[:, 0:4].max(), drawn[:, -4:].max()):
        assert side == 255
    assert not image.any()


def test_a_known_defect_is_outlined_and_stays_visible() -> None:
    """The line goes round it, not over it."""
    mask = np.zeros((60, 60), bool)
    mask[25:35, 25:35] = True
    drawn = outlined(np.zeros((60, 60, 3), np.uint8), mask)
    assert not drawn[26:34, 26:34].any()
    assert (drawn == TRUTH).all(axis=-1).any()


def test_long_names_keep_their_end() -> None:
    """Camera files differ at the end."""
    name = "line-1/2026-11-24/000000000000000000000017.jpg"
    short = shortened(name, 150, size=15)
    assert short.startswith("…")
    assert short.endswith("17.jpg")
    assert text_width(short, size=15) <= 150
    assert shortened("17.jpg", 150, size=15) == "17.jpg"
