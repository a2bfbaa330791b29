"""Patch tokens of vision transformers as embeddings; with `softpatch.network.export` the only file that knows timm."""

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

FEATURES = "tokens"
FAMILIES = ("vision_transformer", "eva")
"""timm's files of networks that give patch tokens of one stride: ViT, DeiT, DINOv2; EVA-02, DINOv3."""


def is_vision_transformer(name: str) -> bool:
    """Whether timm knows this network as one."""
    return timm.is_model(name) and timm.models.is_model_in_modules(timm.models.split_model_name_tag(name)[0], FAMILIES)


class TokenNetwork(nn.Module):
    """uint8 frames [n, h, w, 3] to patch tokens [n, h/patch, w/patch, d] of the last block, each of length 1.

    Squared distances of vectors of length 1 are twice their cosine distance, by which such tokens are compared
    (Damm et al., AnomalyDINO, WACV 2025). Position embeddings are interpolated to the input's size.
    """

    def __init__(self, backbone: nn.Module, *, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.backbone = backbone
        self.patch_px: int = backbone.patch_embed.patch_size[0]
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).view(1, 3, 1, 1))

    @property
    def input_multiple_px(self) -> int:
        """Sides of an input are multiples of a patch."""
        return self.patch_px

    @property
    def strides_px(self) -> dict[str, int]:
        """Of the one feature set."""
        return {FEATURES: self.patch_px}

    def forward(self, frames: Tensor) -> tuple[Tensor]:
        """Normalise, take the last block's tokens, drop those of no patch."""
        count, height, width, _ = frames.shape
        pixels = (frames.permute(0, 3, 1, 2).float() - self.mean) / self.std
        tokens = self.backbone.forward_features(pixels)[:, self.backbone.num_prefix_tokens :]
        grid = tokens.reshape(count, height // self.patch_px, width // self.patch_px, tokens.shape[-1])
        return (functional.normalize(grid, dim=-1),)


def token_network(name: str, *, pretrained: bool) -> TokenNetwork:
    """A vision transformer of timm, for inputs of any whole number of patches."""
    backbone = timm.create_model(name, pretrained=pretrained, num_classes=0, dynamic_img_size=True)
    configuration = timm.get_pretrained_cfg(name)
    return TokenNetwork(backbone, mean=configuration.mean, std=configuration.std)
