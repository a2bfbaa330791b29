"""The picture a run ends with: its worst frames with heat maps, what was missed, and good parts beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from deploy.pictures.annotated_frame import (
    BOX,
    BOX_EDGE,
    HEAT_FROM,
    HEAT_TO,
    TRUTH,
    boxed,
    heat_colours,
    heated,
    outlined,
)
from deploy.pictures.canvas import BOLD, Canvas, CanvasBox, Colour, shortened, text_width
from deploy.pictures.fitting import centred, fitted_wh, resized
from ingest.decision import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import UInt8

    from deploy.pictures.annotated_frame import AnnotatedFrame

    _Section = tuple[
        str, list[AnnotatedFrame], tuple[int, int], int, Callable[[Canvas, AnnotatedFrame, CanvasBox, "_Layout"], None]
    ]
    """Title, members, size of each (width, height), columns, and how one is drawn."""

PAPER, CARD, INK, SOFT, LINE = (244, 245, 247), (255, 255, 255), (23, 28, 38), (104, 112, 126), (222, 225, 231)
RED, GREEN, AMBER, WHITE = (200, 30, 40), (30, 130, 76), (190, 120, 10), (255, 255, 255)

WIDTH, MARGIN, GAP, PAD = 1800, 56, 24, 18
COLUMNS, WORST = 3, 9
HEADER, SECTION, CAPTION, STRIP_CAPTION, FOOTER = 168, 62, 74, 40, 96
TALLEST, FLATTEST, WIDE = 1.3, 0.35, 1.5
"""Height over width of a picture's place, at most and at least; wider frames than `WIDE` stand above each other."""


@dataclass(frozen=True)
class SheetHeader:
    """The top of a sheet: a title, one line below it, and figures at the right (name, value)."""

    title: str
    line: str
    figures: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class SheetFrames:
    """Which frames a sheet shows. What is known to be decided wrongly is shown as openly as what was found."""

    worst: list[AnnotatedFrame]
    missed: list[AnnotatedFrame]
    """All that are known to be defective, and passed: the clearest miss first."""
    rejected: list[AnnotatedFrame]
    """All that are known to be good, and failed, beyond those among the worst."""
    good: list[AnnotatedFrame]
    """Passes, spread evenly from nearly rejected to plain."""


def choose(frames: Sequence[AnnotatedFrame], *, strip: int) -> SheetFrames:
    """Pick the worst frames, all others that were decided wrongly, and at most `strip` good passes."""
    ranked = sorted(frames, key=lambda each: -each.ratio)
    worst, rest = ranked[:WORST], ranked[WORST:]
    passed = [each for each in rest if each.decision.verdict is Verdict.PASS]
    good = [each for each in passed if not each.defective]
    spread = np.linspace(0, len(good) - 1, min(strip, len(good))).round().astype(int)
    return SheetFrames(
        worst=worst,
        missed=[each for each in reversed(passed) if each.defective],
        rejected=[each for each in rest if each.decision.verdict is Verdict.FAIL and each.defective is False],
        good=[good[i] for i in spread],
    )


def render(frames: Sequence[AnnotatedFrame], header: SheetHeader) -> UInt8[np.ndarray, "h w 3"]:
    """The contact sheet of a run, RGB.

    Raises ValueError where there is no frame to show.
    """
    if not frames:
        raise ValueError("a contact sheet needs at least one decided frame")
    layout = _Layout(_aspect(frames))
    chosen = choose(frames, strip=layout.strip)
    strips = (
        (title_of("Defective parts that passed", len(chosen.missed), room=layout.strip), chosen.missed),
        (
            title_of("Good parts that failed, beyond those above", len(chosen.rejected), room=layout.strip),
            chosen.rejected,
        ),
        ("Parts that passed, from nearly rejected to plain", chosen.good),
    )
    sections: list[_Section] = [
        ("Worst frames, most suspicious first", chosen.worst, layout.card_wh, COLUMNS, _card),
        *(
            (title, members[: layout.strip], layout.thumb_wh, layout.strip, _thumb)
            for title, members in strips
            if members
        ),
    ]
    return _sheet(sections, header, layout, has_truth=any(each.mask is not None for each in frames))


def render_cards(
    groups: Sequence[tuple[str, Sequence[AnnotatedFrame]]], header: SheetHeader
) -> UInt8[np.ndarray, "h w 3"]:
    """A sheet with a card for every frame, in titled groups, RGB. Raises ValueError where there is no frame to show."""
    frames = [each for _, members in groups for each in members]
    if not frames:
        raise ValueError("a sheet needs at least one frame")
    layout = _Layout(_aspect(frames))
    sections = [(title, list(members), layout.card_wh, COLUMNS, _card) for title, members in groups if members]
    return _sheet(sections, header, layout, has_truth=False)


def _aspect(frames: Sequence[AnnotatedFrame]) -> float:
    aspect = float(np.median([each.size_wh[1] / each.size_wh[0] for each in frames]))
    return min(max(aspect, FLATTEST), TALLEST)


def _sheet(
    sections: Sequence[_Section], header: SheetHeader, layout: _Layout, *, has_truth: bool
) -> UInt8[np.ndarray, "h w 3"]:
    height = HEADER + FOOTER + sum(_section_height(len(each), wh, columns) for _, each, wh, columns, _ in sections)
    canvas = Canvas(WIDTH, height, PAPER)
    draw_header(canvas, header)
    top = HEADER
    for title, members, wh, columns, draw in sections:
        canvas.text(title, (MARGIN, top + 36), size=23, colour=INK, weight=BOLD)
        for number, each in enumerate(members):
            x = MARGIN + number % columns * (wh[0] + GAP)
            y = top + SECTION + number // columns * (wh[1] + GAP)
            draw(canvas, each, (x, y, x + wh[0], y + wh[1]), layout)
        top += _section_height(len(members), wh, columns)
    _legend(canvas, top, has_truth=has_truth)
    return canvas.pixels


def title_of(words: str, count: int, *, room: int) -> str:
    """The title over `count` frames, with how many are shown where there is no room for all."""
    return f"{words}: {count}" if count <= room else f"{words}: {count}, of which {room} are shown"


class _Layout:
    """Sizes that follow from the frames' shape: height over width."""

    def __init__(self, aspect: float) -> None:
        self.stacked = 1 / aspect > WIDE
        card = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) // COLUMNS
        self.strip = 6 if self.stacked else 8
        thumb = (WIDTH - 2 * MARGIN - (self.strip - 1) * GAP) // self.strip
        inner = card - 2 * PAD
        self.picture_width = inner if self.stacked else (inner - PAD // 2) // 2
        self.picture_height = round(self.picture_width * aspect)
        pictures = 2 * self.picture_height + PAD // 2 if self.stacked else self.picture_height
        self.card_wh = card, pictures + 2 * PAD + CAPTION
        self.thumb_height = round(thumb * aspect)
        self.thumb_wh = thumb, self.thumb_height + STRIP_CAPTION

    def pair(self, box: CanvasBox) -> tuple[CanvasBox, CanvasBox]:
        """The places of the frame and of its heat map on a card."""
        x, y = box[0] + PAD, box[1] + PAD
        width, height, step = self.picture_width, self.picture_height, PAD // 2
        x2, y2 = (x, y + height + step) if self.stacked else (x + width + step, y)
        return (x, y, x + width, y + height), (x2, y2, x2 + width, y2 + height)


def _section_height(members: int, wh: tuple[int, int], columns: int) -> int:
    rows = -(-members // columns)
    return SECTION + rows * wh[1] + (rows - 1) * GAP + GAP


def draw_header(canvas: Canvas, header: SheetHeader) -> None:
    """Title, line and figures at the top of a sheet, and a rule below them."""
    canvas.panel((MARGIN, 46, MARGIN + 6, 116), RED, radius_px=3)
    canvas.text(header.title, (MARGIN + 26, 80), size=38, colour=INK, weight=BOLD)
    canvas.text(header.line, (MARGIN + 26, 114), size=20, colour=SOFT)
    right = WIDTH - MARGIN
    for name, value in reversed(header.figures):
        width = max(text_width(value, size=34, weight=BOLD), text_width(name, size=16))
        canvas.text(value, (right, 82), size=34, colour=INK, weight=BOLD, align="right")
        canvas.text(name, (right, 112), size=16, colour=SOFT, align="right")
        right -= width + 40
    canvas.pixels[HEADER - 18 : HEADER - 16, MARGIN : WIDTH - MARGIN] = LINE


def _card(canvas: Canvas, each: AnnotatedFrame, box: CanvasBox, layout: _Layout) -> None:
    canvas.panel(box, CARD, radius_px=14)
    left, right = layout.pair(box)
    canvas.picture(_framed(each, left, hot=False, truth=True), left, radius_px=8)
    canvas.picture(_framed(each, right, hot=True, truth=False), right, radius_px=8)
    verdict, colour = _verdict(each)
    x0, x1, base = box[0] + PAD, box[2] - PAD, box[3] - PAD
    width = canvas.chip(verdict, (x0, base - 28), size=18, ink=WHITE, colour=colour)
    _ratio_bar(canvas, each.ratio, (x0 + width + 14, base - 42, x1 - 78, base - 30), colour)
    canvas.text(f"{each.ratio:.2f}", (x1, base - 27), size=24, colour=INK, weight=BOLD, align="right")
    truth, ink = _truth(each)
    truth_width = canvas.text(truth, (x0, base + 2), size=17, colour=ink, weight=BOLD)
    room = x1 - x0 - truth_width - 20
    canvas.text(shortened(each.name, room, size=15), (x1, base + 2), size=15, colour=SOFT, align="right")


def _thumb(canvas: Canvas, each: AnnotatedFrame, box: CanvasBox, layout: _Layout) -> None:
    x0, y0, x1, _ = box
    place = x0, y0, x1, y0 + layout.thumb_height
    canvas.picture(_framed(each, place, hot=True, truth=each.decision.verdict is Verdict.PASS), place, radius_px=8)
    base = place[3] + 24
    canvas.text(f"{each.ratio:.2f}", (x1, base), size=18, colour=INK, weight=BOLD, align="right")
    room = x1 - x0 - text_width("0.00", size=18, weight=BOLD) - 12
    words = shortened((each.label or each.name).replace("_", " "), room, size=16)
    canvas.text(words, (x0, base), size=16, colour=_truth(each)[1])


def _framed(each: AnnotatedFrame, place: CanvasBox, *, hot: bool, truth: bool) -> UInt8[np.ndarray, "h w 3"]:
    """The frame fitted into its place: `hot` under its heat map with boxes, `truth` with the known defect."""
    room_wh, image = (place[2] - place[0], place[3] - place[1]), each.image
    rows, columns = image.shape[:2]
    fit_wh = fitted_wh(image, room_wh)
    image = resized(image, fit_wh)
    if hot:
        heat = np.asarray(cv2.resize(each.heat, fit_wh, interpolation=cv2.INTER_LINEAR))
        boxes = [region.box_xyxy_px for region in each.decision.regions]
        image = boxed(heated(image, heat), boxes, (fit_wh[0] / columns, fit_wh[1] / rows))
    image = each.geometry.outlined(image, (columns, rows))
    if truth:
        image = outlined(image, each.mask)
    return centred(image, room_wh, LINE)


def _verdict(each: AnnotatedFrame) -> tuple[str, Colour]:
    colours = {Verdict.FAIL: RED, Verdict.PASS: GREEN, Verdict.UNDECIDED: AMBER}
    verdict = each.decision.verdict.value.upper()
    return verdict if each.was is None else f"{verdict}, was {each.was.value}", colours[each.decision.verdict]


def _truth(each: AnnotatedFrame) -> tuple[str, Colour]:
    """What is known of the part, and red or green by whether the verdict agrees."""
    if each.label is None:
        return "", SOFT
    words = each.label.replace("_", " ")
    failed, undecided = each.decision.verdict is Verdict.FAIL, each.decision.verdict is Verdict.UNDECIDED
    if undecided or failed == each.defective:
        return f"truth: {words}", SOFT if undecided else GREEN
    return f"truth: {words} ({'missed' if each.defective else 'false reject'})", RED


def _ratio_bar(canvas: Canvas, ratio: float, box: CanvasBox, colour: Colour) -> None:
    """The score ratio on a scale from 0 to 2, with a mark at the threshold."""
    x0, y0, x1, y1 = box
    radius = (y1 - y0) // 2
    canvas.panel(box, LINE, radius_px=radius)
    filled = x0 + round((x1 - x0) * min(ratio / 2, 1))
    if filled - x0 > 2 * radius:
        canvas.panel((x0, y0, filled, y1), colour, radius_px=radius)
    middle = (x0 + x1) // 2
    canvas.pixels[y0 - 4 : y1 + 4, middle - 1 : middle + 1] = INK


def _legend(canvas: Canvas, top: int, *, has_truth: bool) -> None:
    canvas.pixels[top + 8 : top + 10, MARGIN : WIDTH - MARGIN] = LINE
    base, x = top + 56, MARGIN
    x += canvas.text("Score over threshold", (x, base), size=17, colour=SOFT) + 16
    for mark in (f"{HEAT_FROM:g}", f"{HEAT_TO:g} and more"):
        x += canvas.text(mark, (x, base), size=17, colour=INK) + 10
        if mark == f"{HEAT_FROM:g}":
            ramp = heat_colours(np.tile(np.linspace(0, 1, 240, dtype=np.float32), (16, 1))).astype(np.uint8)
            canvas.picture(ramp, (x, base - 14, x + 240, base + 2), radius_px=5)
            x += 240 + 10
    x += 30
    canvas.panel((x, base - 15, x + 24, base + 3), BOX_EDGE, radius_px=2)
    canvas.panel((x + 1, base - 14, x + 23, base + 2), BOX, radius_px=2)
    canvas.panel((x + 3, base - 12, x + 21, base), LINE, radius_px=1)
    x += 34 + canvas.text("above the threshold", (x + 34, base), size=17, colour=SOFT) + 30
    if has_truth:
        canvas.panel((x, base - 15, x + 24, base + 3), TRUTH, radius_px=5)
        canvas.panel((x + 3, base - 12, x + 21, base), PAPER, radius_px=3)
        canvas.text("known defect", (x + 34, base), size=17, colour=SOFT)
    canvas.text(
        "1.00 is the threshold: above it a part fails", (WIDTH - MARGIN, base), size=17, colour=SOFT, align="right"
    )
