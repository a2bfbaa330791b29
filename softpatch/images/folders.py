"""Folders of images as inspection data sets lay them out: what is good, what shows which defect, and where."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})
GOOD = "good"
GOOD_NAMES = frozenset({GOOD, "ok"})  # MVTec's word and BTAD's
MASK_ENDING = "_mask"

FolderSplit = Literal["train", "test"]


class NoImages(ValueError):
    """There is nothing to read in this folder; the message names what was expected."""


@dataclass(frozen=True)
class LabelledImage:
    """One image file: its label is `good` or a defect's type, its mask, if any, shows the defect in white."""

    path: Path
    split: FolderSplit
    label: str
    mask: Path | None = None

    @property
    def defective(self) -> bool:
        """Whether it shows a defect."""
        return self.label != GOOD


@dataclass(frozen=True)
class FolderLayout:
    """All images of a folder, train first, by path: `mvtec` with splits, labels, masks; `flat` all train and good."""

    root: Path
    kind: Literal["mvtec", "flat"]
    images: tuple[LabelledImage, ...]

    @property
    def train(self) -> tuple[LabelledImage, ...]:
        """What a bank may be built from."""
        return tuple(image for image in self.images if image.split == "train")

    @property
    def test(self) -> tuple[LabelledImage, ...]:
        """The images to test on."""
        return tuple(image for image in self.images if image.split == "test")


def read_folder(root: Path) -> FolderLayout:
    """The images below `root`, without opening one.

    MVTec: `train/good`, `test/<type>`, `ground_truth/<type>` with masks named as the image, or with `_mask` behind it;
    `ok` means `good` (BTAD). Flat: images directly in `root`.

    Raises:
        NoImages: no such folder, or no image in it.
    """
    if not root.is_dir():
        raise NoImages(f"{root} is not a folder; name one that holds images")
    if (root / "train").is_dir() or (root / "test").is_dir():
        images = (*_split(root, "train"), *_split(root, "test"))
        layout = FolderLayout(root, "mvtec", images)
    else:
        flat = tuple(LabelledImage(path, "train", GOOD) for path in _images(root))
        layout = FolderLayout(root, "flat", flat)
    if not layout.images:
        wanted = ", ".join(sorted(IMAGE_SUFFIXES))
        raise NoImages(f"{root} holds no images: neither train/good and test/<type> (MVTec layout) nor {wanted} files")
    return layout


def _split(root: Path, split: FolderSplit) -> Iterator[LabelledImage]:
    for folder in _folders(root / split):
        masks = _masks(root / "ground_truth" / folder.name)
        label = GOOD if folder.name in GOOD_NAMES else folder.name
        for path in _images(folder):
            yield LabelledImage(path, split, label, masks.get(path.stem))


def _masks(folder: Path) -> dict[str, Path]:
    """By the stem of the image they belong to; where both spellings exist, the exact one counts."""
    masks = {path.stem: path for path in _images(folder)}
    return {stem.removesuffix(MASK_ENDING): path for stem, path in masks.items()} | masks


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
