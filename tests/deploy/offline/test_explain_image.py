"""Why a bank scores a picture as it does: which patches are shown, and where their source frames are found."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deploy.offline.explain_image import Explanation, SourceFrames, explain_image, worst_apart
from deploy.offline.opened_bank import OpenedBank
from deploy.pictures.contact_sheet import RED
from deploy.pictures.explanation import render_explanation
from deploy.settings import ImageSettings, RuntimeSettings, Settings
from ingest.store import FsspecStore
from ingest.view import file_name
from softpatch.bank import bank_to_bytes
from softpatch.images.decode import UndecodableImage, decode
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from tests.inference.sample_bank import VIEW, encoded, jpeg, picture, sample_bank

if TYPE_CHECKING:
    from pathlib import Path

    from softpatch.bank import Bank


@pytest.fixture(scope="module")
def bank() -> Bank:
    """A bank of eight plates, `window-0` to `window-7`; its one probe is another frame's bytes."""
    made = sample_bank(OnnxEmbedder.open(lite0(), provider="cpu", threads=1))
    frames = {f"window-{i}": [2, 40 + i] if i < 6 else [2, 40 + i, "cell-4"] for i in range(8)}
    return replace(made, manifest=made.manifest.model_copy(update={"provenance": {"frames": frames}}))


def opened_bank(bank: Bank, **images: int) -> OpenedBank:
    """The bank on one core."""
    runtime, limits = RuntimeSettings(provider="cpu", threads=1), ImageSettings.model_validate(images)
    return OpenedBank.of(bank_to_bytes(bank), Settings(runtime=runtime, images=limits))


def explained(
    bank: Bank,
    encoded_picture: bytes,
    *,
    folder: Path | None = None,
    store: FsspecStore | None = None,
    threshold: float | None = None,
) -> Explanation:
    """The explanation of one picture."""
    opened = opened_bank(bank)
    sources = SourceFrames(opened, folder=folder, store=store)
    return explain_image(encoded_picture, "a.jpg", opened, sources, threshold=threshold)


def test_the_worst_patches_lie_apart() -> None:
    """The largest first; what lies within three cells of one that is shown has the same cause."""
    scores = np.zeros((20, 20), np.float32)
    scores[4, 4], scores[4, 6], scores[10, 10], scores[19, 0] = 5.0, 4.9, 3.0, 2.0
    assert worst_apart(scores, most=3) == [(4, 4), (10, 10), (19, 0)]
    assert len(worst_apart(np.ones((3, 3), np.float32))) == 1


def test_the_worst_patch_is_where_the_defect_is_and_its_score_is_the_frames(bank: Bank) -> None:
    """The scratch is drawn at x 32 to 48, y 32 to 64 of 96 px: cells 2 to 3 across and 2 to 5 down of 8."""
    found = explained(bank, jpeg(3, defect=True))
    worst = found.patches[0]
    assert worst.ratio == pytest.approx(found.ratio, rel=1e-5)
    assert found.ratio > 1
    row, column = worst.position
    assert 1 <= row <= 6
    assert 1 <= column <= 4
    shaped = bank.manifest.geometry.apply(decode(jpeg(3, defect=True)))[None]
    patch = OnnxEmbedder.open(lite0(), provider="cpu", threads=1).embed(shaped)[0, row, column]
    assert worst.distance == pytest.approx(np.linalg.norm(bank.vectors - patch, axis=1).min(), rel=1e-4)
    assert worst.source_name in bank.manifest.frame_names


def test_source_frames_are_found_in_a_folder_the_window_or_the_bank(bank: Bank, tmp_path: Path) -> None:
    """Whoever keeps them; where nobody does, there are none."""
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "window-3").write_bytes(encoded(picture(3), ".png"))
    store = FsspecStore.open(str(tmp_path / "store"))
    store.put(f"windows/{file_name(VIEW)}/2-45.frame", encoded(picture(5), ".png"))
    store.put(f"windows/{file_name(VIEW)}/cell-4-2-46.frame", encoded(picture(6), ".png"))
    sources = SourceFrames(opened_bank(bank), folder=tmp_path / "frames", store=store)
    np.testing.assert_array_equal(sources.get(6), picture(6))
    np.testing.assert_array_equal(sources.get(3), picture(3))
    np.testing.assert_array_equal(sources.get(5), picture(5))
    assert sources.get(0) is not None  # the probe
    assert sources.get(1) is None
    (tmp_path / "frames" / "window-1").write_bytes(b"no picture")
    assert sources.get(1) is None


def test_the_sheet_shows_the_picture_and_marks_where_a_frame_is_missing(bank: Bank, tmp_path: Path) -> None:
    """A frame that is found changes its row of the sheet and nothing above it; a fail is drawn in red."""
    missing = render_explanation(explained(bank, jpeg(3, defect=True)))
    for name in bank.manifest.frame_names:
        (tmp_path / name).write_bytes(jpeg(1))
    there = render_explanation(explained(bank, jpeg(3, defect=True), folder=tmp_path))
    assert missing.shape == there.shape
    assert missing.shape[1] == 1800
    np.testing.assert_array_equal(missing[:140], there[:140])
    assert (missing[150:, 900:] != there[150:, 900:]).any()
    assert (missing[:140] == RED).all(axis=-1).any()


def test_a_picture_is_explained_by_the_threshold_in_force_where_it_is_given(bank: Bank) -> None:
    """The same score passes under one of twice it, and the sheet has no red in its header; else the bank's is named."""
    by_bank = explained(bank, jpeg(3, defect=True))
    assert (by_bank.threshold, by_bank.threshold_words) == (bank.manifest.threshold.value, "suggested threshold")
    in_force = explained(bank, jpeg(3, defect=True), threshold=2 * by_bank.score)
    assert in_force.ratio == pytest.approx(0.5)
    assert in_force.patches[0].ratio == pytest.approx(0.5)
    assert in_force.threshold_words == "threshold"
    assert not (render_explanation(in_force)[:140] == RED).all(axis=-1).any()


def test_a_picture_above_the_limit_of_pixels_is_not_explained(bank: Bank) -> None:
    """The limit is the line's own; what a larger camera sends is explained where the line takes it."""
    small = opened_bank(bank, max_pixels=96 * 96 - 1)
    with pytest.raises(UndecodableImage, match="96x96 px, limit 9215 pixels"):
        explain_image(jpeg(3), "a.jpg", small, SourceFrames(small, folder=None, store=None))
