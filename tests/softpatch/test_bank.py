"""The bank file: same content, same bytes, and a sentence for each way to be corrupt."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from softpatch.bank import TENSORS, Bank, InvalidBank, bank_from_bytes, bank_to_bytes, bank_version
from softpatch.building.build import build_bank
from softpatch.manifest import FORMAT_VERSION
from softpatch.scoring.score import Scorer
from softpatch.scoring.search import FlatSearch
from softpatch.scoring.self_test import run_self_test
from softpatch.settings import ScoringRule
from tests.softpatch.golden.make_bank import GOLDEN, golden_bank
from tests.softpatch.random_embeddings import SETTINGS, MeanColours, names, window


@cache
def small() -> Bank:
    """A bank of twelve frames."""
    frames = window(12, defects=1)
    return build_bank(
        frames,
        MeanColours(),
        SETTINGS,
        view="line-1/cam-1",
        frame_names=names(frames),
        created_at="2026-01-01T00:00:00Z",
        provenance={"offsets": {"0": 12}},
    )


@cache
def parts() -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """The tensors and the manifest of its file."""
    data = bank_to_bytes(small())
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return load(data), json.loads(header["__metadata__"]["manifest"])


def with_tensor(name: str, tensor: np.ndarray) -> bytes:
    """The file with one tensor replaced."""
    tensors, manifest = parts()
    return save({**tensors, name: tensor}, {"manifest": json.dumps(manifest)})


def with_field(**fields: object) -> bytes:
    """The file with manifest fields replaced."""
    tensors, manifest = parts()
    return save(tensors, {"manifest": json.dumps({**manifest, **fields})})


def without_field(name: str) -> bytes:
    """The file with one manifest field left out."""
    tensors, manifest = parts()
    return save(tensors, {"manifest": json.dumps({key: value for key, value in manifest.items() if key != name})})


def changed(name: str, value: float, *, dtype: str | None = None) -> bytes:
    """The file with the first value of a tensor replaced."""
    tensor = parts()[0][name].copy()
    tensor.flat[0] = value
    return with_tensor(name, tensor if dtype is None else tensor.astype(dtype))


def same(one: Bank, other: Bank) -> bool:
    """Every field equal, arrays to the bit."""
    arrays = [name for name in TENSORS if name not in ("probe_sizes", "probe_bytes")]
    return (
        one.manifest == other.manifest
        and one.probes == other.probes
        and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
    )


def test_a_bank_comes_back_as_it_was() -> None:
    """Every array, the manifest and the probes; written again, the same bytes and so the same version."""
    data = bank_to_bytes(small())
    read = bank_from_bytes(data)
    assert same(read, small())
    assert bank_version(bank_to_bytes(read)) == bank_version(data)


def test_what_a_bank_may_lack_comes_back() -> None:
    """What patches are multiplied by before they are compared, and their scores afterwards."""
    bank = golden_bank()
    metric = np.diag(np.arange(1, bank.manifest.dimension + 1)).astype(np.float32)
    weights = np.linspace(0.5, 1, 64, dtype=np.float32).reshape(8, 8)
    back = bank_from_bytes(bank_to_bytes(replace(bank, metric=metric, position_weights=weights)))
    assert back.metric is not None
    assert back.position_weights is not None
    np.testing.assert_array_equal(back.metric, metric)
    np.testing.assert_array_equal(back.position_weights, weights)


def test_a_threshold_is_drawn_from_what_excluded_frames_score_elsewhere() -> None:
    """In the order of the window; one without such a score does not count. A bank file keeps both."""
    bank = golden_bank()
    frames = len(bank.calibration_scores)
    excluded, elsewhere = np.zeros(frames, np.bool_), np.zeros(frames, np.float32)
    excluded[[1, 2]], elsewhere[1] = True, 0.5
    expected = [bank.calibration_scores[0], 0.5, *bank.calibration_scores[3:]]
    whole = replace(bank, calibration_excluded=excluded)
    counted = replace(whole, elsewhere_scores=elsewhere)
    assert counted.threshold_scores.tolist() == expected
    assert bank_from_bytes(bank_to_bytes(counted)).threshold_scores.tolist() == expected
    assert whole.threshold_scores.tolist() == [expected[0], *expected[2:]]
    with pytest.raises(InvalidBank, match="tensor elsewhere_scores holds negative scores"):
        bank_from_bytes(bank_to_bytes(replace(whole, elsewhere_scores=-elsewhere)))
    for others in (None, np.roll(excluded, 5)):
        with pytest.raises(InvalidBank, match="scores of frames that calibration_excluded does not name"):
            bank_from_bytes(bank_to_bytes(replace(counted, calibration_excluded=others)))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    key=st.text(min_size=1, max_size=8),
    probes=st.lists(st.binary(min_size=1, max_size=20), min_size=3, max_size=3),
    weights=st.floats(0.5, 4, width=32),
)
def test_any_content_comes_back(key: str, probes: list[bytes], weights: float) -> None:
    """Whatever the provenance, the probes and the weights."""
    bank = replace(
        small(),
        manifest=small().manifest.model_copy(update={"provenance": {key: [1, None, "x"]}}),
        probes=tuple(probes),
        soft_weights=np.full_like(small().soft_weights, weights),
    )
    assert same(bank_from_bytes(bank_to_bytes(bank)), bank)


def test_the_golden_bank_stays_readable() -> None:
    """A committed file is read and written byte for byte, and its probes score what they scored when it was made.

    `python -m tests.softpatch.golden.make_bank` makes it anew.
    """
    data = GOLDEN.read_bytes()
    bank = bank_from_bytes(data)
    assert bank.manifest.format_version == FORMAT_VERSION == 1
    assert bank.scoring == ScoringRule(second_frame_ratio=0.85, untrusted_ratio=0.92, blur_cells=0.8)
    assert bank.trusted_patches < len(bank.vectors)
    assert bank_to_bytes(bank) == data
    assert bank_version(data) == GOLDEN.with_suffix(".sha256").read_text().strip()
    assert run_self_test(bank, MeanColours(), Scorer(bank, FlatSearch(bank.vectors))).worst_difference <= 1e-4


def test_the_golden_bank_is_what_a_build_makes_today() -> None:
    """The same manifest but for the last digits of scores, which differ between machines."""
    golden, made_today = bank_from_bytes(GOLDEN.read_bytes()), golden_bank()
    np.testing.assert_allclose(made_today.vectors, golden.vectors, rtol=1e-4)
    np.testing.assert_allclose(made_today.calibration_scores, golden.calibration_scores, rtol=1e-3)
    rounded = {"threshold", "noise_floor", "noise_estimate"}
    assert made_today.manifest.model_dump(exclude=rounded) == golden.manifest.model_dump(exclude=rounded)


CORRUPT = {
    "nothing at all": (lambda: b"", "0 bytes are too few for a bank: the file is cut off or is something else"),
    "not safetensors": (
        lambda: b"\x05\0\0\0\0\0\0\0hello",
        "no safetensors header: Expecting value: line 1 column 1 (char 0)",
    ),
    "no manifest": (
        lambda: save(parts()[0], {"other": "x"}),
        "no manifest in the file's metadata: this safetensors file is not a bank",
    ),
    "manifest not JSON": (
        lambda: save(parts()[0], {"manifest": "{"}),
        "the manifest is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    ),
    "manifest a list": (lambda: save(parts()[0], {"manifest": "[]"}), "the manifest is a JSON list, not an object"),
    "a newer format": (
        lambda: with_field(format_version=2, something_new=1),
        (
            "format version 2 is newer than this program reads (1): "
            "upgrade patchline here, or rebuild the bank with this version"
        ),
    ),
    "no version": (lambda: with_field(format_version="1"), "manifest field format_version: '1' is not a version"),
    "an unknown field": (lambda: with_field(extra=1), "manifest field extra: Extra inputs are not permitted"),
    "a threshold of 0": (
        lambda: with_field(threshold={**parts()[1]["threshold"], "value": 0}),  # type: ignore[dict-item] # it is one
        "manifest field threshold.value: Input should be greater than 0",
    ),
    "a missing tensor": (
        lambda: save({k: v for k, v in parts()[0].items() if k != "vectors"}, {"manifest": json.dumps(parts()[1])}),
        "missing tensors: vectors",
    ),
    "an unknown tensor": (lambda: with_tensor("more", np.zeros(1)), "unknown tensors: more"),
    "a dtype": (
        lambda: changed("soft_weights", 1, dtype="float64"),
        "tensor soft_weights is float64, expected float32",
    ),
    "a dimension": (lambda: with_field(dimension=7), None),
    "frames": (lambda: with_field(frame_names=["one"]), "tensor calibration_scores has shape (12,), expected (1,)"),
    "NaN": (lambda: changed("vectors", np.nan), "tensor vectors holds values that are not finite"),
    "infinity": (
        lambda: changed("calibration_sketches", np.inf),
        "tensor calibration_sketches holds values that are not finite",
    ),
    "a weight of 0": (lambda: changed("soft_weights", 0), "tensor soft_weights holds values that are not positive"),
    "a position of no weight": (
        lambda: with_tensor("position_weights", np.zeros((8, 8), np.float32)),
        "tensor position_weights holds values that are not positive",
    ),
    "a metric of another dimension": (
        lambda: with_tensor("metric", np.eye(3, dtype=np.float32)),
        None,
    ),
    "no count of trusted patches": (
        lambda: without_field("trusted_patches"),
        "manifest field trusted_patches: Field required",
    ),
    "too many trusted": (
        lambda: with_field(trusted_patches=10_000),
        "manifest field trusted_patches: 10000 of {patches} patches",
    ),
    "no distance to a second frame": (
        lambda: changed("second_frame_within", np.nan),
        "tensor second_frame_within holds values that are no distances",
    ),
    "a negative score": (lambda: changed("probe_scores", -1), "tensor probe_scores holds negative scores"),
    "a frame too far": (lambda: changed("source_frame", 12), "tensor source_frame points outside 0 to 11"),
    "a probe frame too far": (lambda: changed("probe_frames", -1), "tensor probe_frames points outside 0 to 11"),
    "a position too far": (lambda: changed("source_position", 8), "tensor source_position points outside 0 to 7"),
    "probe sizes": (lambda: changed("probe_sizes", 1), "tensor probe_sizes does not add up to probe_bytes"),
}


@pytest.mark.parametrize("way", CORRUPT)
def test_each_way_to_be_corrupt_has_its_sentence(way: str) -> None:
    """The whole message is compared: it is what a person at the line reads."""
    make, message = CORRUPT[way]
    with pytest.raises(InvalidBank) as caught:
        bank_from_bytes(make())
    if message is not None:
        assert str(caught.value) == message.format(patches=len(small().vectors))


OF_PATCHES = ("vectors", "soft_weights", "source_frame", "source_position", "second_frame_within")


def test_an_empty_bank_is_refused() -> None:
    """No patches: nothing could be scored."""
    tensors, manifest = parts()
    empty = {name: tensor[:0] if name in OF_PATCHES else tensor for name, tensor in tensors.items()}
    with pytest.raises(InvalidBank, match=r"^the bank holds no patches$"):
        bank_from_bytes(save(empty, {"manifest": json.dumps(manifest)}))


@pytest.mark.parametrize("share", [0.0001, 0.3, 0.9, 0.9999])
def test_a_file_cut_off_anywhere_is_refused(share: float) -> None:
    """Half a file is never a bank."""
    data = bank_to_bytes(small())
    with pytest.raises(InvalidBank):
        bank_from_bytes(data[: int(len(data) * share)])


@settings(max_examples=50, deadline=None)
@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_flipped_byte_is_refused_or_gives_a_sound_bank(place: int, value: int) -> None:
    """Never another exception than InvalidBank."""
    data = bytearray(bank_to_bytes(small()))
    data[place % len(data)] = value
    try:
        bank_from_bytes(bytes(data))
    except InvalidBank as refusal:
        assert str(refusal)  # noqa: PT017 - either outcome is right
