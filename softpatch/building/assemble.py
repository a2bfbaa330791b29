"""Step 5: a fitted bank and its calibration become a bank with manifest and probes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from softpatch.bank import Bank
from softpatch.building.calibrate import Calibration
from softpatch.building.fit import Fit
from softpatch.building.fitted_bank import SearchMaker
from softpatch.building.golden import golden_result
from softpatch.building.input_choice import ChosenInput
from softpatch.building.manifest import BankOrigin, manifest_of
from softpatch.building.no_part_patches import no_part_patches
from softpatch.building.window import Window
from softpatch.network.embed import Embedder
from softpatch.scoring.score import Scorer
from softpatch.scoring.self_test import probe_scores


def assemble(
    window: Window,
    fitted: Fit,
    calibration: Calibration,
    embedder: Embedder,
    *,
    chosen: ChosenInput,
    origin: BankOrigin,
    frames: Sequence[bytes],
    make_search: SearchMaker,
) -> Bank:
    """The bank, its probes scored; `frames` are all encoded frames of the window.

    Probes are spaced evenly over the window, so that they cover all of its time.
    """
    used = window.frames.window_frames
    no_part = no_part_patches(
        window.embeddings,
        fitted.labels.no_part_rows,
        fitted.settings,
        threshold=calibration.suggestion.threshold.value,
        make_search=make_search,
    )
    probed = np.linspace(0, used - 1, min(fitted.settings.probes, used)).round().astype(np.int32)
    bank = Bank(
        manifest=manifest_of(window, fitted, calibration, embedder, chosen=chosen, origin=origin, no_part=no_part),
        vectors=np.ascontiguousarray(fitted.bank.patches.vectors),
        soft_weights=fitted.bank.soft_weights,
        source_frame=fitted.bank.patches.frame,
        source_position=fitted.bank.patches.position,
        calibration_scores=calibration.scores.whole,
        calibration_statistics=window.statistics[:used],
        calibration_sketches=window.sketches[:used],
        probe_frames=probed,
        probe_scores=np.zeros(len(probed), np.float32),
        probes=tuple(bytes(frames[window.frames.sources[frame]]) for frame in probed.tolist()),
        second_frame_within=fitted.bank.second_frame_within,
        confirmed=_if_any(fitted.bank.confirmed),
        ignored=fitted.bank.ignored,
        negative_vectors=fitted.bank.negative_vectors,
        metric=fitted.bank.metric,
        position_weights=calibration.position_weights,
        calibration_excluded=_if_any(fitted.labels.not_learnt),
        elsewhere_scores=_if_any(calibration.scores.elsewhere),
        no_part_vectors=None if no_part is None else no_part.vectors,
    )
    golden = golden_result(bank, window.embeddings, fitted.labels.known.exemplars, make_search)
    return replace(
        bank,
        manifest=bank.manifest.model_copy(update={"golden": golden}),
        probe_scores=probe_scores(bank.probes, bank, embedder, Scorer(bank, make_search(bank.vectors))),
    )


def _if_any(values: np.ndarray) -> np.ndarray | None:
    return values if values.any() else None
