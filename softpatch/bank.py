"""The memory bank as a value and as ONE safetensors file: bytes out, bytes in, everything checked on the way in."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int16, Int32, Int64, UInt8
from pydantic import (
    ValidationError,
)
from safetensors import SafetensorError
from safetensors.numpy import load, save

from softpatch.manifest import FORMAT_VERSION, Manifest
from softpatch.network.sketch import SKETCH_FLOATS
from softpatch.settings import ScoringRule

STATISTICS = ("brightness", "contrast", "sharpness", "dark_ratio", "saturated_ratio")

TENSORS: Mapping[str, tuple[str, tuple[int | str, ...]]] = MappingProxyType(
    {
        "vectors": ("float32", ("patches", "dimension")),
        "soft_weights": ("float32", ("patches",)),
        "source_frame": ("int32", ("patches",)),
        "source_position": ("int16", ("patches", 2)),
        "calibration_scores": ("float32", ("frames",)),
        "calibration_statistics": ("float32", ("frames", len(STATISTICS))),
        "calibration_sketches": ("float32", ("frames", SKETCH_FLOATS)),
        "probe_frames": ("int32", ("probes",)),
        "probe_scores": ("float32", ("probes",)),
        "probe_sizes": ("int64", ("probes",)),
        "probe_bytes": ("uint8", ("probe_bytes",)),
    }
)
"""Every tensor of a file: its dtype and its axes; an axis of the same name has the same length everywhere."""

OPTIONAL_TENSORS: Mapping[str, tuple[str, tuple[int | str, ...]]] = MappingProxyType(
    {
        "second_frame_within": ("float32", ("patches",)),
        "confirmed": ("bool", ("patches",)),
        "ignored": ("bool", ("rows", "columns")),
        "calibration_excluded": ("bool", ("frames",)),
        "elsewhere_scores": ("float32", ("frames",)),
        "no_part_vectors": ("float32", ("no_part_patches", "dimension")),
        "negative_vectors": ("float32", ("negatives", "dimension")),
        "metric": ("float32", ("dimension", "dimension")),
        "position_weights": ("float32", ("rows", "columns")),
    }
)
"""Those that a bank may lack: `metric` where parts lie alike, `position_weights` where good frames have their highest
scores anywhere, `elsewhere_scores` where no group is at one place alone, the others but the first where its window
holds no groups and its view no labelled frames."""


class InvalidBank(ValueError):
    """These bytes are not a bank this program can trust; the message says what is wrong."""


@dataclass(frozen=True)
class Bank:
    """A memory bank and all that inference needs to trust it; row i of every patch tensor is the same patch.

    `source_frame` and `probe_frames` count in `manifest.frame_names`; positions are (row, column) of the grid.
    `calibration_scores` are cross-fitted: comparable with this bank's scores. L2 units throughout. `confirmed` patches
    are of frames that a person called good; `ignored` positions never score; `calibration_excluded` frames belong to
    groups that are not learnt, so that no threshold is drawn from their scores, but from their `elsewhere_scores`,
    outside the group's place (0 where none counts). `negative_vectors` are patches of defects that
    people named. Within `second_frame_within` of a patch the window held others like it, of two blocks of time, whether
    or not they are in the bank; infinite where it is not known to. `vectors` and `negative_vectors` are embeddings
    times the `metric`, where there is one; `no_part_vectors` are as the network gives them. `position_weights` multiply
    patch scores.
    """

    manifest: Manifest
    vectors: Float32[np.ndarray, "patches dimension"]
    soft_weights: Float32[np.ndarray, "patches"]
    source_frame: Int32[np.ndarray, "patches"]
    source_position: Int16[np.ndarray, "patches 2"]
    calibration_scores: Float32[np.ndarray, "frames"]
    calibration_statistics: Float32[np.ndarray, "frames 5"]
    calibration_sketches: Float32[np.ndarray, "frames 32"]
    probe_frames: Int32[np.ndarray, "probes"]
    probe_scores: Float32[np.ndarray, "probes"]
    probes: tuple[bytes, ...]
    second_frame_within: Float32[np.ndarray, "patches"] | None = None
    confirmed: Bool[np.ndarray, "patches"] | None = None
    ignored: Bool[np.ndarray, "rows columns"] | None = None
    calibration_excluded: Bool[np.ndarray, "frames"] | None = None
    elsewhere_scores: Float32[np.ndarray, "frames"] | None = None
    no_part_vectors: Float32[np.ndarray, "no_part_patches dimension"] | None = None
    negative_vectors: Float32[np.ndarray, "negatives dimension"] | None = None
    metric: Float32[np.ndarray, "dimension dimension"] | None = None
    position_weights: Float32[np.ndarray, "rows columns"] | None = None

    @property
    def threshold_scores(self) -> Float32[np.ndarray, "counted"]:
        """What a threshold is drawn from: scores of learnt frames, and of those kept out at one place by the rest."""
        if self.calibration_excluded is None:
            return self.calibration_scores
        return counted_scores(self.calibration_scores, self.calibration_excluded, self.elsewhere_scores)

    @property
    def scoring(self) -> ScoringRule:
        """How distances become scores; the calibration used the same rule."""
        return self.manifest.settings.scoring

    @property
    def trusted_patches(self) -> int:
        """How many patches, from the first on, are trusted."""
        return self.manifest.trusted_patches


def counted_scores(
    scores: Float32[np.ndarray, "frames"],
    excluded: Bool[np.ndarray, "frames"],
    elsewhere: Float32[np.ndarray, "frames"] | None,
) -> Float32[np.ndarray, "counted"]:
    """The scores that a threshold is drawn from, in the order of the window: of excluded frames those elsewhere."""
    if elsewhere is None:
        return np.asarray(scores[~excluded])
    return np.asarray(np.where(excluded, elsewhere, scores)[~excluded | (elsewhere > 0)])


def bank_version(data: bytes) -> str:
    """The version of a bank is the sha256 of its file."""
    return hashlib.sha256(data).hexdigest()


def bank_to_bytes(bank: Bank) -> bytes:
    """The one file of a bank; the same content gives the same bytes."""
    tensors = {name: np.ascontiguousarray(getattr(bank, name)) for name in TENSORS if not name.startswith("probe_")}
    tensors |= {
        "probe_frames": bank.probe_frames,
        "probe_scores": bank.probe_scores,
        "probe_sizes": np.array([len(probe) for probe in bank.probes], np.int64),
        "probe_bytes": np.frombuffer(b"".join(bank.probes), np.uint8),
    }
    optional = {name: getattr(bank, name) for name in OPTIONAL_TENSORS}
    tensors |= {name: np.ascontiguousarray(tensor) for name, tensor in optional.items() if tensor is not None}
    manifest = json.dumps(bank.manifest.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)
    # One metadata key only: safetensors keeps metadata in a hash map, and two keys would change places between runs.
    return save(tensors, {"manifest": manifest})


def bank_from_bytes(data: bytes) -> Bank:
    """The bank in a file's bytes, with everything checked.

    Raises:
        InvalidBank: saying what is wrong, and what to do where there is something to do.
    """
    manifest = _read_manifest(data)
    tensors = _read_tensors(data)
    _check_axes(tensors, manifest)
    _check_values(tensors, manifest)
    return Bank(
        manifest=manifest,
        probes=_split(tensors["probe_bytes"], tensors["probe_sizes"]),
        **{name: tensors[name] for name in TENSORS if name not in ("probe_sizes", "probe_bytes")},
        **{name: tensors[name] for name in OPTIONAL_TENSORS if name in tensors},
    )


def _read_manifest(data: bytes) -> Manifest:
    header = _read_header(data)
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or "manifest" not in metadata:
        raise InvalidBank("no manifest in the file's metadata: this safetensors file is not a bank")
    try:
        fields = json.loads(metadata["manifest"])
    except (TypeError, ValueError, RecursionError) as error:  # the last where brackets nest thousands deep
        raise InvalidBank(f"the manifest is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise InvalidBank(f"the manifest is a JSON {type(fields).__name__}, not an object")
    _check_format_version(fields.get("format_version"))
    try:
        return Manifest.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidBank(f"manifest field {where}: {first['msg']}") from error


def _read_header(data: bytes) -> dict[str, Any]:
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > len(data) - 8:  # noqa: PLR2004 - the header's length takes eight bytes
        raise InvalidBank(f"{len(data)} bytes are too few for a bank: the file is cut off or is something else")
    try:
        header = json.loads(data[8 : 8 + size])
    except (ValueError, RecursionError) as error:
        raise InvalidBank(f"no safetensors header: {error}") from error
    if not isinstance(header, dict):
        raise InvalidBank("the safetensors header is not a JSON object")
    return header


def _check_format_version(version: object) -> None:
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise InvalidBank(f"manifest field format_version: {version!r} is not a version")
    if version > FORMAT_VERSION:
        raise InvalidBank(
            f"format version {version} is newer than this program reads ({FORMAT_VERSION}): "
            "upgrade patchline here, or rebuild the bank with this version"
        )


def _read_tensors(data: bytes) -> dict[str, np.ndarray]:
    try:
        tensors = load(data)
    except (SafetensorError, KeyError, ValueError) as error:
        raise InvalidBank(f"the tensors cannot be read: {error}") from error
    if missing := sorted(TENSORS.keys() - tensors.keys()):
        raise InvalidBank(f"missing tensors: {', '.join(missing)}")
    if unknown := sorted(tensors.keys() - TENSORS.keys() - OPTIONAL_TENSORS.keys()):
        raise InvalidBank(f"unknown tensors: {', '.join(unknown)}")
    return tensors


def _check_axes(tensors: Mapping[str, np.ndarray], manifest: Manifest) -> None:
    frames = len(manifest.frame_names) - manifest.labelled_frames
    lengths: dict[str, int] = {"dimension": manifest.dimension, "frames": frames}
    lengths |= dict(zip(("rows", "columns"), manifest.grid, strict=True))
    for name, (dtype, axes) in (*TENSORS.items(), *OPTIONAL_TENSORS.items()):
        if name not in tensors:
            continue
        tensor = tensors[name]
        if tensor.dtype != dtype:
            raise InvalidBank(f"tensor {name} is {tensor.dtype}, expected {dtype}")
        expected = tuple(axis if isinstance(axis, int) else lengths.get(axis, axis) for axis in axes)
        if tensor.ndim != len(axes) or any(
            isinstance(want, int) and got != want for want, got in zip(expected, tensor.shape, strict=True)
        ):
            raise InvalidBank(f"tensor {name} has shape {tensor.shape}, expected {expected}")
        lengths |= {axis: n for axis, n in zip(axes, tensor.shape, strict=True) if isinstance(axis, str)}


def _check_values(tensors: Mapping[str, np.ndarray], manifest: Manifest) -> None:
    _check_counts(tensors, manifest)
    for name, tensor in tensors.items():
        if tensor.dtype == np.float32 and name != "second_frame_within" and not np.isfinite(tensor).all():
            raise InvalidBank(f"tensor {name} holds values that are not finite")
    if (tensors["soft_weights"] <= 0).any():
        raise InvalidBank("tensor soft_weights holds values that are not positive")
    if (tensors.get("position_weights", np.ones(1)) <= 0).any():
        raise InvalidBank("tensor position_weights holds values that are not positive")
    if not (tensors.get("second_frame_within", np.zeros(1)) >= 0).all():
        raise InvalidBank("tensor second_frame_within holds values that are no distances")
    for name in ("calibration_scores", "elsewhere_scores", "probe_scores"):
        if (tensors.get(name, np.zeros(1)) < 0).any():
            raise InvalidBank(f"tensor {name} holds negative scores")
    frames = len(manifest.frame_names)
    _check_range("source_frame", tensors["source_frame"], frames)
    _check_range("probe_frames", tensors["probe_frames"], frames)
    for axis, cells in enumerate(manifest.grid):
        _check_range("source_position", tensors["source_position"][:, axis], cells)
    if (tensors["probe_sizes"] <= 0).any() or tensors["probe_sizes"].sum() != len(tensors["probe_bytes"]):
        raise InvalidBank("tensor probe_sizes does not add up to probe_bytes")


def _check_counts(tensors: Mapping[str, np.ndarray], manifest: Manifest) -> None:
    patches = len(tensors["vectors"])
    if not patches:
        raise InvalidBank("the bank holds no patches")
    if manifest.trusted_patches > patches:
        raise InvalidBank(f"manifest field trusted_patches: {manifest.trusted_patches} of {patches} patches")
    if not len(tensors["probe_frames"]):
        raise InvalidBank("the bank holds no probe frames")
    if ("no_part_vectors" in tensors) != (manifest.no_part_limit is not None):
        raise InvalidBank("tensor no_part_vectors and manifest field no_part_limit stand together")
    if "no_part_vectors" in tensors and not len(tensors["no_part_vectors"]):
        raise InvalidBank("tensor no_part_vectors holds no patches")
    if "negative_vectors" in tensors and not len(tensors["negative_vectors"]):
        raise InvalidBank("tensor negative_vectors holds no patches")
    elsewhere, excluded = tensors.get("elsewhere_scores"), tensors.get("calibration_excluded")
    if elsewhere is not None and (excluded is None or (elsewhere[~excluded] != 0).any()):
        raise InvalidBank("tensor elsewhere_scores holds scores of frames that calibration_excluded does not name")
    if "calibration_excluded" in tensors and tensors["calibration_excluded"].all():
        raise InvalidBank("tensor calibration_excluded leaves no frame for the threshold")


def _check_range(name: str, values: np.ndarray, below: int) -> None:
    if ((values < 0) | (values >= below)).any():
        raise InvalidBank(f"tensor {name} points outside 0 to {below - 1}")


def _split(joined: UInt8[np.ndarray, "probe_bytes"], sizes: Int64[np.ndarray, "probes"]) -> tuple[bytes, ...]:
    return tuple(part.tobytes() for part in np.split(joined, np.cumsum(sizes)[:-1]))
