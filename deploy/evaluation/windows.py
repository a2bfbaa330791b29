"""A window of a category's images, embedded as the product's build embeds it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from deploy.evaluation.methods.training_window import TrainingWindow
from deploy.evaluation.protocol.split import AUGMENTED
from softpatch.building.embedding_buffer import buffer_for
from softpatch.building.input_choice import choose_input
from softpatch.images.decode import MAX_PIXELS
from softpatch.scoring.search import FlatSearch
from softpatch.settings import BuildSettings
from softpatch.threads import available_cores

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from deploy.evaluation.embedding_cache import EmbeddingCache
    from deploy.evaluation.protocol.split import Setting
    from softpatch.images.folders import LabelledImage


def at_chosen_input(window: Sequence[LabelledImage], cache: EmbeddingCache, *, seed: int) -> EmbeddingCache:
    """The cache at the input size and features that this window chooses, as a build by the default settings does."""
    with ThreadPoolExecutor(available_cores()) as pool:
        chosen = choose_input(
            [image.path.read_bytes() for image in window],
            cache.embedder,
            BuildSettings(seed=seed),
            earlier=None,
            max_pixels=MAX_PIXELS,
            make_search=FlatSearch,
            pool=pool,
        )
    return cache.at(chosen.geometry, chosen.features)


def training_window(
    images: Sequence[LabelledImage], injected: set[LabelledImage], cache: EmbeddingCache, setting: Setting, *, seed: int
) -> TrainingWindow:
    """Embeddings of a window; injected frames are augmented where the setting augments."""
    good = [index for index, image in enumerate(images) if image not in injected]
    parts: dict[int, np.ndarray] = {}
    bad = [index for index, image in enumerate(images) if image in injected]
    kinds: tuple[tuple[Setting, list[int]], ...] = (("overlap", good), (setting, bad))
    for kind, indices in kinds:
        batches = cache.batches([images[index] for index in indices], kind, seed=seed)
        parts.update(zip(indices, (frame for batch in batches for frame in batch), strict=True))
    embeddings = buffer_for(len(images), parts[0].shape, memory_bytes=2 << 30)
    for index in range(len(images)):
        embeddings.append(parts.pop(index)[None])
    encoded = tuple(image.path.read_bytes() for image in images)
    as_filed = setting not in AUGMENTED
    return TrainingWindow(embeddings, tuple(good), encoded, cache.geometry, cache.embedder if as_filed else None)
