"""What a bank says of itself: where it comes from, how it was built, and what its window held."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from softpatch.building.calibrate import Calibration
from softpatch.building.fit import Fit
from softpatch.building.group_records import group_records
from softpatch.building.input_choice import ChosenInput
from softpatch.building.no_part_patches import NoPartPatches
from softpatch.building.window import Window
from softpatch.images.frame_sizes import FrameSizes
from softpatch.manifest import Manifest
from softpatch.network.embed import Embedder


@dataclass(frozen=True)
class BankOrigin:
    """The origin of a bank, for its manifest: the arguments of `build_bank`, and names of the labelled frames."""

    view: str
    frame_names: Sequence[str]
    labelled_names: Sequence[str]
    created_at: str
    graph_name: str
    parent: str | None
    provenance: Mapping[str, Any]

    def name(self, source: int) -> str:
        """Of a frame, by its place among all frames that were given."""
        given = len(self.frame_names)
        return self.frame_names[source] if source < given else self.labelled_names[source - given]


def manifest_of(
    window: Window,
    fitted: Fit,
    calibration: Calibration,
    embedder: Embedder,
    *,
    chosen: ChosenInput,
    origin: BankOrigin,
    no_part: NoPartPatches | None,
) -> Manifest:
    """The manifest of a bank that has not been tried yet on the frames people gave a word on."""
    settings = fitted.settings
    return Manifest(
        view=origin.view,
        graph_name=origin.graph_name,
        graph_hash=embedder.graph_hash,
        geometry=chosen.geometry,
        features=chosen.features,
        input_choice=chosen.choice,
        detection=calibration.detection,
        frame_px=FrameSizes.of(window.frames.sizes_wh[: window.frames.window_frames]),
        dimension=window.embeddings.dimension,
        grid=window.grid,
        settings=settings,
        frame_names=[origin.name(source) for source in window.frames.sources],
        labelled_frames=len(window.frames) - window.frames.window_frames,
        skipped_frames=len(origin.frame_names) - window.frames.window_frames,
        groups=group_records(fitted.labels.groups, window.frames, origin.frame_names, chosen.geometry),
        no_part_limit=None if no_part is None else no_part.limit,
        noise_floor=fitted.mask.noise_floor,
        kept_ratio=fitted.mask.kept_ratio(window.frames.window_frames),
        trusted_patches=fitted.bank.trusted_patches,
        threshold=calibration.suggestion.threshold,
        noise_estimate=calibration.suggestion.noise_estimate,
        probe_precision=embedder.precision,
        parent=origin.parent,
        provenance=dict(origin.provenance),
        created_at=origin.created_at,
    )
