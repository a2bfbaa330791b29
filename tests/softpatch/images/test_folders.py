"""Data set folders are read as they are laid out, in a stable order, and an empty one is an error."""

from pathlib import Path

import pytest

from softpatch.images.folders import LabelledImage, NoImages, read_folder


def touch(root: Path, *names: str) -> None:
    """Empty files: no image is opened."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_mvtec_layout(tmp_path: Path) -> None:
    """Splits, labels and masks, of both spellings; train first, then test, each by path."""
    touch(tmp_path, "train/good/001.png", "train/good/000.png", "test/good/000.png")
    touch(tmp_path, "test/crack/000.png", "test/crack/001.JPG", "test/crack/002.png")
    touch(tmp_path, "ground_truth/crack/000.png", "ground_truth/crack/001_mask.png", "license.txt")
    layout = read_folder(tmp_path)
    masks = tmp_path / "ground_truth" / "crack"
    assert layout.kind == "mvtec"
    assert layout.images == (
        LabelledImage(tmp_path / "train/good/000.png", "train", "good"),
        LabelledImage(tmp_path / "train/good/001.png", "train", "good"),
        LabelledImage(tmp_path / "test/crack/000.png", "test", "crack", masks / "000.png"),
        LabelledImage(tmp_path / "test/crack/001.JPG", "test", "crack", masks / "001_mask.png"),
        LabelledImage(tmp_path / "test/crack/002.png", "test", "crack"),
        LabelledImage(tmp_path / "test/good/000.png", "test", "good"),
    )
    assert layout.train == layout.images[:2]
    assert layout.test == layout.images[2:]
    assert [image.defective for image in layout.test] == [True, True, True, False]


def test_btad_layout(tmp_path: Path) -> None:
    """Its `ok` is good, its `ko` a defect."""
    touch(tmp_path, "train/ok/0.bmp", "test/ok/0.bmp", "test/ko/0.bmp", "ground_truth/ko/0.png")
    layout = read_folder(tmp_path)
    assert [image.label for image in layout.images] == ["good", "ko", "good"]
    assert layout.test[0].mask == tmp_path / "ground_truth/ko/0.png"


def test_an_image_whose_own_name_ends_in_mask_keeps_its_own_mask(tmp_path: Path) -> None:
    """The exact name counts before the one with `_mask` behind it."""
    touch(tmp_path, "test/cut/a.png", "test/cut/a_mask.png", "ground_truth/cut/a.png", "ground_truth/cut/a_mask.png")
    masks = [image.mask for image in read_folder(tmp_path).test]
    assert masks == [tmp_path / "ground_truth/cut/a.png", tmp_path / "ground_truth/cut/a_mask.png"]


def test_flat_layout(tmp_path: Path) -> None:
    """Images directly in the folder, all for training; subfolders and other files are left alone."""
    touch(tmp_path, "b.png", "a.tif", "notes.txt", "more/c.png")
    layout = read_folder(tmp_path)
    assert layout.kind == "flat"
    assert layout.train == tuple(LabelledImage(tmp_path / name, "train", "good") for name in ("a.tif", "b.png"))
    assert layout.test == ()


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """By name; a file is no folder either."""
    touch(tmp_path, "file")
    for name in ("nowhere", "file"):
        with pytest.raises(NoImages) as caught:
            read_folder(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name} is not a folder; name one that holds images"


@pytest.mark.parametrize("content", [["notes.txt"], ["train/good/notes.txt"], ["test/good/deeper/0.png"]])
def test_a_folder_without_images_is_refused_with_what_was_expected(tmp_path: Path, content: list[str]) -> None:
    """Both layouts, and the file types."""
    touch(tmp_path, *content)
    with pytest.raises(NoImages) as caught:
        read_folder(tmp_path)
    expected = "neither train/good and test/<type> (MVTec layout) nor .bmp, .jpeg, .jpg, .png, .tif, .tiff files"
    assert str(caught.value) == f"{tmp_path} holds no images: {expected}"


@pytest.mark.images
@pytest.mark.parametrize(
    ("category", "counts"),
    [
        ("mvtec_ad/screw", (320, 41, 119, 119)),
        ("bsdata/ball_screw", (250, 120, 167, 167)),
        ("magnetic_tile/tile", (200, 80, 269, 269)),
        ("casting/impeller", (400, 150, 200, 0)),
    ],
)
def test_real_data_sets_have_their_counts(test_data: Path, category: str, counts: tuple[int, int, int, int]) -> None:
    """Train, good and defective test images, and masks, as their README counts them."""
    layout = read_folder(test_data / category)
    defective = [image for image in layout.test if image.defective]
    masks = [image for image in layout.test if image.mask]
    assert (len(layout.train), len(layout.test) - len(defective), len(defective), len(masks)) == counts
