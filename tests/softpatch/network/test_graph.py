"""A file is a graph of ours, known by its hash, or the error names what is missing."""

import hashlib
import json
from pathlib import Path

import onnx
import pytest

from softpatch.network.embed import OnnxEmbedder, ProviderUnavailable
from softpatch.network.graph import InvalidGraph, embedded, graph_from_bytes, lite0, load_graph

HINT = "; make one with python -m softpatch.network.export"


def changed(**metadata: str) -> bytes:
    """The embedded graph with other metadata."""
    model = onnx.load_model_from_string(lite0().model)
    onnx.helper.set_model_props(model, metadata)
    return model.SerializeToString()


def error(model: bytes) -> str:
    """What is wrong with these bytes."""
    with pytest.raises(InvalidGraph) as caught:
        graph_from_bytes(model, source="it")
    return str(caught.value)


@pytest.mark.parametrize(("name", "joined", "most_bytes"), [("lite0", 152, 12_100_000), ("lite2", 168, 17_600_000)])
def test_an_embedded_graph_says_what_it_is(name: str, joined: int, most_bytes: int) -> None:
    """Lite0: 40 + 112 channels; Lite2: 48 + 120; strides 16 and 32 brought down to 128. Small enough to ship."""
    graph = embedded(name)
    assert graph.name == name
    assert {features: (each.stride_px, each.dimension) for features, each in graph.features.items()} == {
        "fine": (8, joined),
        "medium": (16, joined),
        "wide": (16, 128),
    }
    assert graph.hash == hashlib.sha256(graph.model).hexdigest()
    assert len(graph.model) < most_bytes


def test_what_is_embedded_is_one_graph_for_the_whole_process() -> None:
    """Read and checked once."""
    assert lite0() is embedded("lite0") is not embedded("lite2")


def test_the_hash_is_computed_once() -> None:
    """Every frame's sketch asks for it, and 12 MB take as long to hash as half a frame to embed."""
    graph = graph_from_bytes(lite0().model, source="it")
    assert graph.hash is graph.hash


def test_a_part_of_the_graph_computes_one_feature_set_and_holds_no_more() -> None:
    """ONNX Runtime runs whatever a file holds: fine features must not pay for the layers of stride 32."""
    sizes = {name: len(lite0().model_of(name)) for name in lite0().features}
    assert sizes["fine"] < 3_000_000 < sizes["wide"]
    outputs = [output.name for output in onnx.load_model_from_string(lite0().model_of("medium")).graph.output]
    assert outputs == ["medium"]


def test_a_graph_in_a_file_is_the_same_graph(tmp_path: Path) -> None:
    """Byte for byte."""
    (tmp_path / "graph.onnx").write_bytes(lite0().model)
    assert load_graph(tmp_path / "graph.onnx") == lite0()


def test_batch_norms_are_folded_and_no_path_of_the_making_machine_is_left() -> None:
    """The exporter writes stack traces into the file; a graph's hash would change with the folder it was made in."""
    model = onnx.load_model_from_string(lite0().model)
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert b".py" not in lite0().model


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """With the system's reason."""
    with pytest.raises(InvalidGraph) as caught:
        load_graph(tmp_path / "none.onnx")
    assert str(caught.value) == f"cannot read {tmp_path / 'none.onnx'}: No such file or directory"


def test_other_bytes_are_not_onnx() -> None:
    """A JPEG, say."""
    assert error(b"\xff\xd8\xff\xe0" * 9) == f"it is not an ONNX file{HINT}"


def test_missing_metadata_is_named() -> None:
    """An ONNX file from elsewhere."""
    assert error(changed(name="x")) == f"it lacks the metadata features, input_multiple_px{HINT}"
    assert error(b"") == f"it lacks the metadata features, input_multiple_px, name{HINT}"


@pytest.mark.parametrize("features", ["{}", "fine", '{"fine": {"stride_px": 0, "dimension": 152}}', "[" * 100_000])
def test_metadata_that_says_nothing_is_refused(features: str) -> None:
    """No feature set, no JSON, no stride."""
    found = error(changed(name="x", features=features, input_multiple_px="32"))
    assert found.startswith("it has metadata that cannot be read: ")
    assert found.endswith(HINT)


@pytest.mark.parametrize("change", [("dimension", 151), ("stride_px", 4)])
def test_a_feature_set_that_the_outputs_do_not_have_is_refused(change: tuple[str, int]) -> None:
    """Metadata and graph have to agree on what can be seen without running it."""
    sets = {name: each.model_dump() for name, each in lite0().features.items()}
    sets["wide"][change[0]] = change[1]
    changed_graph = changed(name="x", features=json.dumps(sets), input_multiple_px="32")
    if change[0] == "dimension":
        assert error(changed_graph) == f"it does not map uint8 frames [N,H,W,3] to the embeddings it names{HINT}"
    else:
        with pytest.raises(ProviderUnavailable):
            OnnxEmbedder.open(graph_from_bytes(changed_graph, source="it"), features="wide", provider="cpu")
