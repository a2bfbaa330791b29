"""Encoded bytes to RGB pixels, or one exception with the reason."""

import cv2
import numpy as np
import simplejpeg
from jaxtyping import UInt8

from softpatch.images.header import Header, UndecodableImage, UndecodableReason, read_header

__all__ = [
    "MAX_PIXELS",
    "MIN_SIDE_PX",
    "UndecodableImage",
    "UndecodableReason",
    "checked_header",
    "decode",
    "decode_checked",
    "largest_sample",
    "least_depth",
]

MAX_PIXELS = 50_000_000
MIN_SIDE_PX = 8  # one patch of the embedding; anything smaller is a broken frame, not a picture of a part

FULL_DEPTH, SHALLOWEST = 16, 8
"""Bits of a sample that a picture of 16-bit samples may use."""
DEPTHS = (10, 12, 14, FULL_DEPTH)
"""Those that cameras have."""

MAX_SCANS = 100
"""Of a JPEG: encoders make 1 to 14; each one more lets a few bytes cost a pass over the whole picture."""
MAX_PASSES = 12
"""Over `max_pixels`: what all scans of a JPEG together may paint."""

# The pixels as the sensor wrote them: an EXIF orientation is a hint for people, and a camera on a line never turns.
# OpenCV's RGB flag leaves 16-bit TIFFs in BGR, so the swap is done here.
STORED = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION


def decode(
    encoded: bytes, *, max_pixels: int | None = MAX_PIXELS, bit_depth: int | None = FULL_DEPTH
) -> UInt8[np.ndarray, "h w 3"]:
    """The frame as 8-bit RGB, its size checked before any pixel is decoded; None: a frame that was accepted before.

    Gray becomes three equal channels, CMYK is converted, an alpha channel is dropped and the colours under it are kept
    as they are. EXIF orientation is ignored. Of 16-bit samples the lowest `bit_depth` bits become 8: the largest of
    them is white, and so is what is larger. None: the least depth that holds this picture's largest sample.

    Raises:
        UndecodableImage: with the reason; no other exception, whatever the bytes.
    """
    return decode_checked(encoded, checked_header(encoded, max_pixels=max_pixels), bit_depth=bit_depth)


def decode_checked(encoded: bytes, header: Header, *, bit_depth: int | None = FULL_DEPTH) -> UInt8[np.ndarray, "h w 3"]:
    """The same for a frame whose header was checked before. Raises UndecodableImage."""
    pixels = _jpeg_pixels(encoded) if header.format == "jpeg" else _other_pixels(encoded, bit_depth)
    if pixels.shape[:2] != (header.height_px, header.width_px):
        raise UndecodableImage(
            "corrupt", f"the header says {header.width_px}x{header.height_px}, not {pixels.shape[1::-1]}"
        )
    return pixels


def checked_header(encoded: bytes, *, max_pixels: int | None = MAX_PIXELS) -> Header:
    """The header of a frame whose size and scans are within the limits. Raises UndecodableImage."""
    header = read_header(encoded)
    _check_size(header, max_pixels)
    if max_pixels is not None:
        _check_scans(header, max_pixels)
    return header


def _check_size(header: Header, max_pixels: int | None) -> None:
    size = f"{header.width_px}x{header.height_px} px"
    if header.width_px <= 0 or header.height_px <= 0:
        raise UndecodableImage("corrupt", f"the header says {size}")
    if max_pixels is not None and header.pixels > max_pixels:
        raise UndecodableImage(
            "too_many_pixels", f"{size}, limit {max_pixels} pixels; send a smaller image or raise it"
        )
    if min(header.width_px, header.height_px) < MIN_SIDE_PX:
        raise UndecodableImage("too_small", f"{size}, at least {MIN_SIDE_PX} px a side are needed")


def _check_scans(header: Header, max_pixels: int) -> None:
    if header.scans > MAX_SCANS or header.scans * header.pixels > MAX_PASSES * max_pixels:
        size = f"{header.width_px}x{header.height_px} px"
        raise UndecodableImage(
            "too_costly", f"a JPEG of {size} in {header.scans} scans or more; send it as baseline, in one scan"
        )


def _jpeg_pixels(encoded: bytes) -> UInt8[np.ndarray, "h w 3"]:
    """Whatever libjpeg warns of is an error: OpenCV takes the gray or garbage of a lost part for pixels."""
    try:
        *_, colours, _ = simplejpeg.decode_jpeg_header(encoded, strict=True)
        if colours in ("CMYK", "YCCK"):  # inverted, as Adobe writes it
            cmyk = simplejpeg.decode_jpeg(encoded, "CMYK", strict=True).astype(np.uint16)
            return np.asarray(cmyk[..., :3] * cmyk[..., 3:] // 255, np.uint8)
        return np.asarray(simplejpeg.decode_jpeg(encoded, "RGB", strict=True))
    except ValueError as error:
        raise UndecodableImage("corrupt", f"{error}; send an undamaged file") from error


def least_depth(largest: int) -> int:
    """The bits of a camera with 16-bit pictures, the fewest that hold this sample."""
    return next(depth for depth in DEPTHS if largest < 2**depth)


def largest_sample(encoded: bytes) -> int | None:
    """The largest value in a frame of 16-bit samples; None for another frame. Raises UndecodableImage."""
    header = read_header(encoded)
    if header.format == "jpeg" or header.sample_bits <= 8:  # noqa: PLR2004 - bits of a byte
        return None
    return int(_stored_pixels(encoded).max())


def _other_pixels(encoded: bytes, bit_depth: int | None) -> UInt8[np.ndarray, "h w 3"]:
    pixels = _stored_pixels(encoded)
    return np.asarray(cv2.cvtColor(_eight_bits(pixels, bit_depth), cv2.COLOR_BGR2RGB))


def _stored_pixels(encoded: bytes) -> np.ndarray:
    try:
        pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), STORED)
    except cv2.error as error:
        raise UndecodableImage("corrupt", str(error).strip()) from error
    if pixels is None:
        raise UndecodableImage("corrupt", "the decoder found errors in the pixels; send an undamaged file")
    return np.asarray(pixels)


def _eight_bits(pixels: np.ndarray, bit_depth: int | None) -> np.ndarray:
    if pixels.dtype == np.uint16:
        depth = least_depth(int(pixels.max())) if bit_depth is None else bit_depth
        return np.asarray(cv2.convertScaleAbs(pixels, alpha=255 / (2**depth - 1)))
    if pixels.dtype != np.uint8:
        raise UndecodableImage("unsupported_format", f"pixels of type {pixels.dtype}; send 8 or 16 bits a channel")
    return pixels
