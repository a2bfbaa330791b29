"""Large frames go through the network in tiles: every patch once, and nearly as it would be in the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softpatch.network import tiles
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from softpatch.network.tiles import MARGIN_PX, MOST_PX, TILE_PX, tiles_of


@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from([14, 16, 32]))
def test_every_patch_comes_from_one_tile(rows: int, columns: int, multiple: int) -> None:
    """Whatever the size; no tile is much larger than it says, and each sees its neighbours."""
    height, width = rows * multiple, columns * multiple
    seen = np.zeros((rows, columns), int)
    found = tiles_of(height, width, multiple_px=multiple)
    for tile in found:
        seen[tile.rows.target(multiple), tile.columns.target(multiple)] += 1
        for span, side in ((tile.rows, height), (tile.columns, width)):
            assert span.start in (0, span.own_start - -(-MARGIN_PX // multiple) * multiple)
            assert span.stop in (side, span.own_stop + -(-MARGIN_PX // multiple) * multiple)
            if len(found) > 1:
                assert span.own_stop - span.own_start <= TILE_PX + multiple
    assert (seen == 1).all()
    assert (len(found) == 1) == (height * width <= MOST_PX)


@pytest.mark.slow
@pytest.mark.parametrize("features", ["fine", "wide"])
def test_tiles_give_nearly_what_the_whole_gives(features: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a picture with structure at all scales: where tiles meet, embeddings move by little of their spread."""
    rng = np.random.default_rng(0)
    scales = [rng.normal(size=(2 + 640 // side, 2 + 960 // side, 3)) for side in (4, 16, 64)]
    summed = sum(
        np.kron(each, np.ones((side, side, 1)))[:640, :960] for each, side in zip(scales, (4, 16, 64), strict=True)
    )
    frame = np.clip(128 + 40 * np.asarray(summed), 0, 255).astype(np.uint8)[None]
    embedder = OnnxEmbedder.open(lite0(), features=features, provider="cpu", threads=2)
    whole = embedder.embed(frame)
    monkeypatch.setattr(tiles, "MOST_PX", 512 * 512)
    monkeypatch.setattr(tiles, "TILE_PX", 480)
    tiled = embedder.embed(frame)
    spread = np.linalg.norm(whole - whole.mean(axis=(1, 2), keepdims=True), axis=-1)
    moved = np.linalg.norm(tiled - whole, axis=-1)
    assert tiled.shape == whole.shape
    assert len(tiles_of(640, 960, multiple_px=32)) > 1
    assert np.quantile(moved, 0.9) < 0.1 * np.median(spread)
    assert moved.max() < 0.5 * np.median(spread)
