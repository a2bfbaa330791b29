"""Every method the paper compares, and ours, as one function each: from a window to something that scores frames."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from deploy.evaluation.methods.answered_groups import fit_answered, fit_default
from deploy.evaluation.methods.padim import Padim, trusted_frames
from deploy.evaluation.methods.training_window import TrainingWindow
from deploy.evaluation.results.rows import Question
from softpatch.building.cross_fit import cross_fit
from softpatch.building.fit import Fit, fit
from softpatch.building.position_weights import weigh_positions
from softpatch.scoring.score import FrameScore
from softpatch.scoring.search import FlatSearch
from softpatch.settings import BuildSettings
from softpatch.threads import available_cores

PAPER_NOISE_RATIO = 0.15

PAPER = BuildSettings(
    discriminator="lof",
    removal="patches",
    lof_k=6,
    noise_ratio=PAPER_NOISE_RATIO,
    group_frames=1_000_000,
    coreset_frames=1_000_000,
    noise_floor=False,
    soft_weights=True,
    soft_weight_low=1e-9,
    soft_weight_high=1e9,
    groups="learn",
    second_frame_ratio=0.0,
    untrusted_ratio=1.0,
    blur_cells=0.0,
)
"""SoftPatch as published: one group, no floor, 15 % dropped, weights not clipped (a common factor changes no rank)."""

PATCHCORE = PAPER.model_copy(update={"discriminator": "none", "noise_ratio": 0.0, "soft_weights": False})


@runtime_checkable
class MethodScorer(Protocol):
    """What a method makes of a window."""

    def score(self, embeddings: Float32[np.ndarray, "n p q d"]) -> list[FrameScore]:
        """One score per frame, larger for more anomalous ones."""
        ...


@dataclass(frozen=True)
class Learnt:
    """What a method made of a window, and the questions that it asks about it, answered ones included."""

    scorer: MethodScorer
    questions: tuple[Question, ...] = ()


Method = Callable[[TrainingWindow, int], Learnt]
"""(window, seed) -> what it learnt."""

FitDefault = Callable[[TrainingWindow, BuildSettings, Executor], tuple[Fit, tuple[Question, ...]]]


def from_settings(window: TrainingWindow, seed: int, *, settings: BuildSettings) -> Learnt:
    """A bank by those settings, without calibration. With the paper's: one group, one exact coreset, as published."""
    with ThreadPoolExecutor(available_cores()) as pool:
        fitted = fit(window.embeddings, settings.model_copy(update={"seed": seed}), pool)
    return Learnt(fitted.bank.scorer(FlatSearch))


def clean_patchcore(window: TrainingWindow, seed: int) -> Learnt:
    """PatchCore from the good frames alone: what a person who cleaned the data would get."""
    return from_settings(window.only(window.good), seed, settings=PATCHCORE)


def padim(window: TrainingWindow, seed: int) -> Learnt:
    """PaDiM from all frames."""
    return Learnt(_padim(window, seed))


def _padim(window: TrainingWindow, seed: int) -> Padim:
    return Padim.fit(window.embeddings.take(range(len(window.embeddings))), seed=seed)


def padim_patchcore(window: TrainingWindow, seed: int) -> Learnt:
    """The paper's image-level denoising: PaDiM rejects the worst 15 % of its own window, PatchCore learns the rest."""
    denoiser, embeddings = _padim(window, seed), window.embeddings
    scores = [denoiser.score(embeddings.take(range(frame, frame + 1)))[0].score for frame in range(len(embeddings))]
    kept = trusted_frames(np.array(scores, np.float32), PAPER_NOISE_RATIO)
    return from_settings(window.only(kept.tolist()), seed, settings=PATCHCORE)


def patchline(window: TrainingWindow, seed: int, *, build: FitDefault = fit_default) -> Learnt:
    """The product's default, calibration included, as `build_bank` does it."""
    settings = BuildSettings(seed=seed)
    with ThreadPoolExecutor(available_cores()) as pool:
        fitted, questions = build(window, settings, pool)
    weighed, _ = weigh_positions(fitted, cross_fit(window.embeddings, fitted, make_search=FlatSearch))
    return Learnt(weighed.bank.scorer(FlatSearch), questions)


def _softpatch(**changes: object) -> Method:
    return partial(from_settings, settings=PAPER.model_copy(update=changes))


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "patchline": patchline,
        "patchline-answered": partial(patchline, build=fit_answered),
        "patchline-224": patchline,
        "softpatch-lof": _softpatch(),
        "softpatch-lof-auto": _softpatch(noise_ratio="auto"),
        "softpatch-lof-unweighted": _softpatch(soft_weights=False),
        "softpatch-gaussian": _softpatch(discriminator="gaussian"),
        "softpatch-gaussian-unweighted": _softpatch(discriminator="gaussian", soft_weights=False),
        "softpatch-nearest": _softpatch(discriminator="nearest"),
        "softpatch-nearest-unweighted": _softpatch(discriminator="nearest", soft_weights=False),
        "patchcore": partial(from_settings, settings=PATCHCORE),
        "patchcore-random": partial(from_settings, settings=PATCHCORE.model_copy(update={"sampler": "random"})),
        "padim": padim,
        "padim-patchcore": padim_patchcore,
        "clean-patchcore": clean_patchcore,
    }
)

FIXED_INPUT = frozenset({"patchline-224"})
"""Methods at 224 x 224 px with fine features, the setting `fast`; all others at the input that the window chooses."""
