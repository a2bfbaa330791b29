"""Any bytes become the right pixels or an UndecodableImage with a reason: a frame is never guessed."""

import base64
import struct
import tracemalloc
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from softpatch.images.decode import UndecodableImage, decode
from softpatch.images.header import read_header


def picture(height: int = 48, width: int = 40, channels: int = 3) -> np.ndarray:
    """A smooth colour picture: JPEG keeps it within a few levels."""
    rng = np.random.default_rng(5)
    return cv2.GaussianBlur(rng.integers(0, 255, (height, width, channels), dtype=np.uint8), (0, 0), 3)


def encoded(extension: str, pixels: np.ndarray, *parameters: int) -> bytes:
    """OpenCV's encoder takes BGR(A)."""
    return bytes(cv2.imencode(extension, pixels, list(parameters))[1])


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises a size and holds no pixels, made from the specification."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def reason(data: bytes, **options: int) -> str:
    """The word for what is wrong."""
    with pytest.raises(UndecodableImage) as caught:
        decode(data, **options)
    assert str(caught.value).startswith(caught.value.reason + ": ")
    return caught.value.reason


@pytest.mark.parametrize("extension", [".png", ".bmp", ".tiff"])
def test_a_lossless_image_comes_back_as_it_was_in_rgb(extension: str) -> None:
    """Every pixel equal, channels in the order red, green, blue."""
    rgb = picture()
    np.testing.assert_array_equal(decode(encoded(extension, rgb[..., ::-1])), rgb)


@pytest.mark.parametrize("progressive", [0, 1])
def test_a_jpeg_is_within_its_loss(progressive: int) -> None:
    """Baseline and progressive."""
    rgb = picture()
    data = encoded(".jpg", rgb[..., ::-1], cv2.IMWRITE_JPEG_QUALITY, 98, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    np.testing.assert_allclose(decode(data).astype(int), rgb, atol=12)


@pytest.mark.parametrize("extension", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_become_eight_by_257(extension: str, channels: int) -> None:
    """White (65535) is 255 and every eighth-bit level times 257 is itself again; what lies between is rounded."""
    rgb = picture(channels=channels).reshape(48, 40, channels)
    wide = rgb.astype(np.uint16) * 257 + np.uint16(100) * (rgb < 255)
    expected = np.broadcast_to(np.round(wide / 257), (48, 40, 3))
    np.testing.assert_array_equal(decode(encoded(extension, wide[..., ::-1])), expected)


@pytest.mark.parametrize("extension", [".png", ".tiff"])
def test_an_alpha_channel_is_dropped(extension: str) -> None:
    """The colours under it stay as they are, however transparent."""
    rgb = picture()
    bgra = np.dstack([rgb[..., ::-1], np.full(rgb.shape[:2], 7, np.uint8)])
    np.testing.assert_array_equal(decode(encoded(extension, bgra)), rgb)


def test_gray_has_three_equal_channels() -> None:
    """A monochrome camera's frame."""
    gray = picture(channels=1)
    np.testing.assert_array_equal(decode(encoded(".png", gray)), np.dstack([gray] * 3))


# 16 x 16 px of RGB (200, 60, 20), converted to CMYK and saved as JPEG (quality 95) by Pillow.
CMYK = (
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwACAQEBAQECAQEBAgICAgIEAwICAgIFBAQDBAYFBgYGBQYGBgcJCAYHCQcGBggLCAkKCgoKCgYICwwLCg"
    "wJCgoK/8AAFAgAEAAQBEMRAE0RAFkRAEsRAP/EABUAAQEAAAAAAAAAAAAAAAAAAAAJ/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAA4EQwBNAFkA"
    "SwAAPwCkCd6J6/gAAAD/2Q=="
)


def test_a_cmyk_jpeg_is_converted() -> None:
    """Adobe's inverted CMYK comes out in the colours it was made from."""
    np.testing.assert_allclose(decode(base64.b64decode(CMYK)).astype(int), np.full((16, 16, 3), (200, 60, 20)), atol=4)


def test_exif_orientation_is_ignored() -> None:
    """A camera on a line never turns: the pixels stay where the sensor has them (6: quarter turn)."""
    plain = encoded(".jpg", picture())
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    tagged = plain[:2] + b"\xff\xe1" + struct.pack(">H", 8 + len(tiff)) + b"Exif\0\0" + tiff + plain[2:]
    np.testing.assert_array_equal(decode(tagged), decode(plain))


def test_zero_bytes_are_empty() -> None:
    """A record without a value."""
    assert reason(b"") == "empty"


@pytest.mark.parametrize("data", [b"hello", b"GIF89a" + bytes(60), b"\0" * 100, b"RIFF\0\0\0\0WEBPVP8 "])
def test_another_format_is_refused(data: bytes) -> None:
    """Only JPEG, PNG, BMP and TIFF are frames."""
    assert reason(data) == "unsupported_format"


@pytest.mark.parametrize("extension", [".jpg", ".png", ".bmp", ".tiff"])
@pytest.mark.parametrize("kept_ratio", [0.3, 0.6, 0.9, 0.999])
def test_a_cut_image_is_truncated(extension: str, kept_ratio: float) -> None:
    """Wherever it is cut: decoders fill the missing part with gray, which would then be scored."""
    data = encoded(extension, picture(200, 200))
    assert reason(data[: int(len(data) * kept_ratio)]) == "truncated"


@pytest.mark.parametrize("extension", [".jpg", ".png", ".bmp"])
def test_the_last_bytes_count(extension: str) -> None:
    """An image without its last two bytes is truncated."""
    assert reason(encoded(extension, picture())[:-2]) == "truncated"


def test_a_cut_progressive_jpeg_is_truncated() -> None:
    """Its early scans alone show the whole picture, blurred: it would pass for a frame out of focus."""
    data = encoded(".jpg", picture(200, 200), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert reason(data[: len(data) * 2 // 3]) == "truncated"


def test_bytes_after_a_jpegs_end_do_no_harm() -> None:
    """Cameras pad their transfers."""
    data = encoded(".jpg", picture())
    np.testing.assert_array_equal(decode(data + bytes(512)), decode(data))


@pytest.mark.parametrize("sides", [(1, 1), (7, 100), (100, 7)])
def test_an_image_below_eight_pixels_a_side_is_too_small(sides: tuple[int, int]) -> None:
    """There is no patch in it."""
    assert reason(encoded(".png", np.zeros((*sides, 3), np.uint8))) == "too_small"


def test_the_smallest_image_is_eight_pixels_a_side() -> None:
    """The limit belongs to the images that are taken."""
    assert decode(encoded(".png", np.zeros((8, 8, 3), np.uint8))).shape == (8, 8, 3)


def test_a_bomb_is_refused_before_its_pixels_cost_memory() -> None:
    """100 megapixels would take 300 MB; the header alone decides."""
    bomb = png_header(10_000, 10_000)
    tracemalloc.start()
    assert reason(bomb) == "too_many_pixels"
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


def test_the_pixel_limit_is_a_setting() -> None:
    """48 x 40 px is 1,920 pixels: at the limit it is taken, one below it is not."""
    data = encoded(".png", picture())
    assert decode(data, max_pixels=1920).shape == (48, 40, 3)
    assert reason(data, max_pixels=1919) == "too_many_pixels"


def test_wrong_pixels_behind_a_right_header_are_corrupt() -> None:
    """A PNG whose compressed data is too short for its size."""
    assert reason(png_header(64, 64)) == "corrupt"


def test_a_chunk_that_says_it_holds_gigabytes_costs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """One flipped bit in a PNG's chunk length made OpenCV 5 allocate 2 GB and spend 14 s; found by fuzzing."""
    data = bytearray(encoded(".png", picture()))
    data[data.index(b"IDAT") - 4] = 0x7F
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("OpenCV was called"))
    assert reason(bytes(data)) == "truncated"


def test_a_png_that_does_not_begin_with_its_size_is_corrupt() -> None:
    """The specification puts IHDR first."""
    assert reason(png_header(64, 64).replace(b"IHDR", b"iHDR")) == "corrupt"


def test_floating_point_pixels_are_refused() -> None:
    """Their range is anyone's guess."""
    assert reason(encoded(".tiff", picture().astype(np.float32))) == "unsupported_format"


def test_endless_fill_bytes_end() -> None:
    """10 MB of 0xFF is a legal beginning of a JPEG; the header reader gives up after 4,096 segments."""
    assert reason(b"\xff\xd8" + b"\xff" * 10_000_000) == "corrupt"


def holes() -> dict[str, bytes]:
    """One JPEG damaged on its way, each with its end-of-image marker where it belongs."""
    whole = encoded(".jpg", picture(240, 320), cv2.IMWRITE_JPEG_QUALITY, 92)
    restarts = encoded(".jpg", picture(240, 320), cv2.IMWRITE_JPEG_RST_INTERVAL, 20)
    half, middle = len(whole) // 2, len(restarts) // 2
    return {
        "cut, with an end": whole[:half] + b"\xff\xd9",
        "hole": whole[:half] + whole[half + 900 :],
        "zeros": whole[:half] + bytes(900) + whole[half + 900 :],
        "cut, then the next frame": whole[:half] + encoded(".jpg", picture()),
        "hole between restart markers": restarts[:middle] + restarts[middle + 700 :],
    }


@pytest.mark.parametrize("damage", holes())
def test_a_jpeg_that_lost_data_is_corrupt_whatever_its_end(damage: str) -> None:
    """Libjpeg fills what is missing with gray or garbage, and only warns: the picture failed, and was learnt from."""
    assert reason(holes()[damage]) == "corrupt"


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"GIF89a" + bytes(60), "this is GIF"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "this is WebP"),
        (b"II+\0" + bytes(60), "this is BigTIFF"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "this is JPEG 2000"),
        (b"\0\0\0\x1cftypavif", "this is AVIF or HEIF"),
        (b"P5\n640 480\n255\n", "this is PNM"),
        (b"hello", "starts with b'hello'"),
    ],
)
def test_a_whole_file_of_another_kind_says_what_it_is(data: bytes, named: str) -> None:
    """Whoever set the camera up reads what it sends."""
    with pytest.raises(UndecodableImage, match=f"^unsupported_format: {named}; send JPEG, PNG, BMP or TIFF$"):
        decode(data)


def tiff(samples: np.ndarray, *, sample_format: int, compression: int = 1) -> bytes:
    """A little-endian TIFF of one channel and one strip, from the specification."""
    height, width = samples.shape
    pixels = samples.tobytes()
    tags = {256: width, 257: height, 258: samples.itemsize * 8, 259: compression, 262: 1, 273: 8, 277: 1, 278: height}
    tags |= {279: len(pixels), 339: sample_format}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory


@pytest.mark.parametrize(
    ("samples", "sample_format", "named"),
    [
        (np.zeros((20, 30), "<f4"), 3, "32-bit float samples"),
        (np.zeros((20, 30), "<u4"), 1, "32-bit integer samples"),
        (np.zeros((20, 30), "<i2"), 2, "16-bit signed samples"),
    ],
)
def test_a_whole_tiff_of_other_samples_says_so(samples: np.ndarray, sample_format: int, named: str) -> None:
    """It was called corrupt, and somebody looked for a broken cable."""
    with pytest.raises(UndecodableImage, match=f"^unsupported_format: {named}; send 8 or 16 bits$"):
        decode(tiff(samples, sample_format=sample_format))


def test_a_tiff_of_another_compression_says_so() -> None:
    """34712: JPEG 2000."""
    assert decode(tiff(np.zeros((20, 30), "<u2"), sample_format=1)).shape == (20, 30, 3)
    with pytest.raises(UndecodableImage, match=r"^unsupported_format: TIFF compression 34712; send it plain"):
        decode(tiff(np.zeros((20, 30), "<u2"), sample_format=1, compression=34712))


def test_a_lossless_jpeg_says_so() -> None:
    """SOF3: whole, and not for the decoder."""
    data = encoded(".jpg", picture()).replace(b"\xff\xc0", b"\xff\xc3", 1)
    with pytest.raises(UndecodableImage, match=r"^unsupported_format: a lossless or hierarchical JPEG \(SOF3\)"):
        decode(data)


@pytest.mark.parametrize(("progressive", "most"), [(0, 1), (1, 10)])
def test_the_scans_of_a_jpeg_are_counted(progressive: int, most: int) -> None:
    """One of a baseline picture, ten of libjpeg's own progressive script, with restart markers between them or not."""
    for restart in (0, 3):
        flags = (cv2.IMWRITE_JPEG_PROGRESSIVE, progressive, cv2.IMWRITE_JPEG_RST_INTERVAL, restart)
        assert read_header(encoded(".jpg", picture(200, 200), *flags)).scans == most


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*"])
)
def test_any_bytes_are_an_image_or_undecodable(data: bytes, magic: bytes) -> None:
    """Whatever follows the first bytes of a known format, no other exception comes out."""
    with pytest.raises(UndecodableImage):
        decode(magic + data)


@given(st.sampled_from([".jpg", ".png", ".bmp", ".tiff"]), st.data())
def test_any_damage_to_an_image_is_an_image_or_undecodable(extension: str, draw: st.DataObject) -> None:
    """Some bytes of a real file replaced, then cut: pixels of the size that the header says, or a reason."""
    data = bytearray(encoded(extension, picture(16, 16)))
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    try:
        pixels = decode(bytes(data[: draw.draw(st.integers(0, len(data)))]), max_pixels=1_000_000)
    except UndecodableImage as error:
        assert error.reason  # noqa: PT017 - either outcome is right, another exception is not
    else:
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] == 3


@pytest.mark.images
@pytest.mark.parametrize("category", ["mvtec_ad/screw", "bsdata/ball_screw", "magnetic_tile/tile", "casting/impeller"])
def test_real_images_are_whole(test_data: Path, category: str) -> None:
    """None of them is taken for a cut or corrupt one."""
    for path in sorted((test_data / category / "train" / "good").iterdir())[:50]:
        assert decode(path.read_bytes()).size
