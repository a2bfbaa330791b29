"""A file is a graph of ours, known by its hash, or the error names what is missing."""

import hashlib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import onnx
import pytest

from softpatch.network.graph import InvalidGraph, graph_from_bytes, lite0, load_graph

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


def test_the_embedded_graph_says_what_it_is() -> None:
    """EfficientNet-Lite0, 40 + 112 channels, its hash that of its bytes; small enough to ship."""
    graph = lite0()
    assert (graph.name, graph.dimension) == ("lite0", 152)
    assert graph.hash == hashlib.sha256(graph.model).hexdigest()
    assert len(graph.model) < 3_000_000


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
    assert error(changed(name="x")) == f"it lacks the metadata dimension, stride{HINT}"
    assert error(b"") == f"it lacks the metadata dimension, name, stride{HINT}"


def test_another_stride_is_refused() -> None:
    """Geometry, maps and positions count in patches of 8 px."""
    assert error(changed(name="x", dimension="152", stride="4")) == f"it has stride 4, not 8{HINT}"


@pytest.mark.parametrize("dimension", ["151", "many"])
def test_a_dimension_that_the_output_does_not_have_is_refused(dimension: str) -> None:
    """Metadata and graph have to agree."""
    problem = "it does not map uint8 frames [N,H,W,3] to float embeddings [N,H/8,W/8,d]"
    assert error(changed(name="x", dimension=dimension, stride="8")) == problem + HINT


@pytest.mark.skipif(find_spec("timm") is not None, reason="the export extra is installed")
def test_exporting_without_its_extra_says_what_to_install() -> None:
    """One sentence, whichever of its packages is missing first."""
    with pytest.raises(ModuleNotFoundError) as caught:
        import_module("softpatch.network.export")
    assert str(caught.value) == "timm is missing: run pip install 'patchline[export]'"
