"""From a window of unfiltered encoded frames to a bank, and what the gate knows of it: every step, in order."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from typing import Any, NamedTuple, ParamSpec

from softpatch.bank import Bank
from softpatch.building.assemble import assemble
from softpatch.building.calibrate import calibrate
from softpatch.building.calibration_blocks import calibration_blocks
from softpatch.building.examine import PriorBanks, examined, nothing_before, window_scores
from softpatch.building.fit import fit
from softpatch.building.frame_reading import frame_reading
from softpatch.building.group_records import named_frames
from softpatch.building.ignored_cells import ignored_cells
from softpatch.building.input_choice import choose_input
from softpatch.building.input_cost import Pace
from softpatch.building.label_window import KnownLabels
from softpatch.building.labels import LabelledFrames, exemplar_frames, exemplar_names, exemplars_of
from softpatch.building.manifest import BankOrigin
from softpatch.building.progress import BuildProgress, silent
from softpatch.building.upright_frames import upright_frames
from softpatch.building.window import read_window
from softpatch.gate.measures import GateMeasures
from softpatch.images.decode import MAX_PIXELS
from softpatch.manifest import Manifest
from softpatch.network.embed import Embedder
from softpatch.scoring.bounded_search import cpu_search
from softpatch.settings import BuildSettings
from softpatch.threads import available_cores


class ExaminedBank(NamedTuple):
    """A bank, and what the gate knows of it."""

    bank: Bank
    measures: GateMeasures


def build_and_examine(
    frames: Sequence[bytes],
    embedder: Embedder,
    settings: BuildSettings,
    *,
    view: str,
    frame_names: Sequence[str],
    created_at: str,
    graph_name: str | None = None,
    provenance: Mapping[str, Any] | None = None,
    parent: str | None = None,
    progress: BuildProgress = silent,
    threads: int | None = None,
    max_pixels: int = MAX_PIXELS,
    labels: Sequence[LabelledFrames] = (),
    earlier: Manifest | None = None,
    pace: Pace | None = None,
    before: PriorBanks = nothing_before,
) -> ExaminedBank:
    """The bank of a window, oldest frame first. The same arguments give the same bank, byte for byte, on one machine.

    `graph_name` is for people (the hash decides; its first 12 digits are the default). Frames that cannot be decoded,
    or have more than `max_pixels`, are left out and counted in the manifest. `labels` are what is known of the view:
    groups that earlier builds found, and frames that people gave a word on. `earlier` is the parent's manifest: what
    it says of the input stands where it was found on a whole sample. `pace` may limit the input; with it, what the
    machine measures decides, too. `before` are the bank in force and a reference: what the former fails, alike, is kept
    out of the bank, and the measures compare with both.

    Raises:
        TooFewFrames: fewer usable frames than `settings.fewest_frames`.
        NothingInspected: the regions leave nothing to inspect.
    """
    if len(frames) != len(frame_names):
        raise ValueError(f"{len(frames)} frames but {len(frame_names)} frame names")
    make_search = partial(cpu_search, threads=threads)
    behind = exemplar_frames(labels)
    reading = frame_reading(
        frames, settings, labels, earlier_depth=None if earlier is None else earlier.geometry.bit_depth
    )
    with ThreadPoolExecutor(threads or available_cores(), "build") as pool:
        chosen = choose_input(
            frames,
            embedder,
            settings,
            reading=reading,
            earlier=None if earlier is None else earlier.input_choice,
            pace=pace,
            max_pixels=max_pixels,
            make_search=make_search,
            pool=pool,
            progress=progress,
        )
        embedder = embedder.with_features(chosen.features)
        read = partial(
            read_window,
            frames,
            labelled=[frame for _, frame in behind],
            fewest=settings.fewest_frames,
            max_pixels=max_pixels,
            pool=pool,
            progress=progress,
        )
        window = read(embedder, chosen.geometry)
        exemplars = exemplars_of(
            labels,
            [number for number, _ in behind],
            window.frames,
            geometry=chosen.geometry,
            grid=window.grid,
        )
        scores = window_scores(
            before,
            window,
            chosen,
            embedder,
            read=lambda prior: read(embedder.with_features(prior.features), prior.geometry),
            make_search=make_search,
        )
        known = KnownLabels(
            window.frames.window_frames,
            exemplars,
            scores.quarantine(window, chosen, settings),
            joining=None if settings.groups == "learn" else scores.joining,
            named={} if earlier is None else named_frames(earlier.groups, window.frames, frame_names),
            ignored=ignored_cells(chosen.geometry, window),
        )
        blocks = calibration_blocks(window.frames.window_frames, settings.calibration_blocks)
        given = [*frames, *(frame for _, frame in behind)]
        upright = partial(
            upright_frames,
            [given[source] for source in window.frames.sources],
            chosen.geometry,
            embedder,
            grid=window.grid,
            max_pixels=max_pixels,
            pool=pool,
            progress=partial(progress, "denoise"),
        )
        fitted = fit(window.embeddings, settings, pool, known=known, blocks=blocks, upright=upright, progress=progress)
        calibration = calibrate(
            frames,
            window,
            fitted,
            embedder,
            chosen.geometry,
            make_search=make_search,
            pool=pool,
            progress=progress,
        )
    origin = BankOrigin(
        view=view,
        frame_names=frame_names,
        labelled_names=exemplar_names(labels),
        created_at=created_at,
        graph_name=graph_name or embedder.graph_hash[:12],
        parent=parent,
        provenance=provenance or {},
    )
    bank = assemble(
        window, fitted, calibration, embedder, chosen=chosen, origin=origin, frames=frames, make_search=make_search
    )
    return ExaminedBank(bank, examined(bank, window, fitted, scores))


P = ParamSpec("P")


def _bank_alone(build: Callable[P, ExaminedBank]) -> Callable[P, Bank]:
    @wraps(build)
    def bank(*args: P.args, **kwargs: P.kwargs) -> Bank:
        return build(*args, **kwargs).bank

    bank.__name__ = bank.__qualname__ = "build_bank"
    return bank


build_bank = _bank_alone(build_and_examine)
"""The same, for those who ask nothing of a gate."""
