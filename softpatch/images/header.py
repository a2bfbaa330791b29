"""The header of an encoded image, read before a pixel is decoded: format, size, and whether its end is there.

OpenCV decodes first and asks later: a header that promises 100 megapixels costs 300 MB, and older versions fill the
missing part of a cut JPEG with gray. Four formats, each read by one short function; nothing is allocated.
"""

import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np

UndecodableReason = Literal["empty", "unsupported_format", "truncated", "too_many_pixels", "too_small", "corrupt"]
ImageFormat = Literal["jpeg", "png", "bmp", "tiff"]

JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..SOF15 without DHT, JPG and DAC
JPEG_MARKER, JPEG_SCAN = 0xFF, 0xDA  # the byte that opens every marker; compressed pixels follow a scan's header
JPEG_BARE = {JPEG_MARKER: 1, 0x01: 2} | dict.fromkeys(
    range(0xD0, 0xD8), 2
)  # bytes of a fill, TEM, RST: no length follows
JPEG_MAX_SEGMENTS = 4096  # 10 MB of fill bytes would otherwise keep the loop busy for seconds
PNG_HEADER = b"\0\0\0\x0dIHDR"
PNG_MAX_CHUNKS = 65_536
TIFF_INTEGERS = {1: "u1", 3: "u2", 4: "u4"}  # BYTE, SHORT, LONG
TIFF_SIDES = (256, 257, 322, 323)  # width and height of the image, and of its tiles
TIFF_PARTS = ((273, 279), (324, 325))  # offsets and byte counts of strips, and of tiles
TIFF_WANTED = frozenset((*TIFF_SIDES, *TIFF_PARTS[0], *TIFF_PARTS[1]))


class UndecodableImage(ValueError):
    """These bytes are not a whole image; `reason` is the word that decisions and dead letters carry."""

    def __init__(self, reason: UndecodableReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: UndecodableReason = reason


@dataclass(frozen=True)
class Header:
    """Format and size; a TIFF tile may be larger than its image, and the decoder holds a whole one."""

    format: ImageFormat
    width_px: int
    height_px: int
    tile_pixels: int = 0

    @property
    def pixels(self) -> int:
        """The pixels to budget for."""
        return max(self.width_px * self.height_px, self.tile_pixels)


def read_header(encoded: bytes) -> Header:
    """Format and size from the first bytes.

    Raises:
        UndecodableImage: empty, of another format, or its end is missing.
    """
    if not encoded:
        raise UndecodableImage("empty", "the value has 0 bytes; send the encoded image as the value")
    if encoded.startswith(b"\xff\xd8\xff"):
        return _jpeg(encoded)
    if encoded.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(encoded)
    if encoded.startswith(b"BM"):
        return _bmp(encoded)
    if encoded.startswith((b"II*\0", b"MM\0*")):
        return _tiff(encoded)
    raise UndecodableImage("unsupported_format", f"starts with {encoded[:8]!r}; send JPEG, PNG, BMP or TIFF")


def _fields(encoded: bytes, layout: str, offset: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(layout, encoded, offset)
    except struct.error:
        raise _cut(len(encoded)) from None


def _cut(size_bytes: int) -> UndecodableImage:
    return UndecodableImage("truncated", f"the image ends early, after {size_bytes} bytes; send the whole file")


def _jpeg(encoded: bytes) -> Header:
    offset, size_wh = 2, None
    for _ in range(JPEG_MAX_SEGMENTS):
        start, marker = _fields(encoded, ">BB", offset)
        if start != JPEG_MARKER:
            raise UndecodableImage("corrupt", f"no JPEG marker at byte {offset}")
        if marker in JPEG_BARE:
            offset += JPEG_BARE[marker]
            continue
        (length,) = _fields(encoded, ">H", offset + 2)
        if marker in JPEG_SIZES:
            size_wh = _jpeg_size(encoded, offset + 4)
        if marker == JPEG_SCAN:
            return _whole_jpeg(encoded, offset, size_wh)
        offset += 2 + length
    raise UndecodableImage("corrupt", f"no pixels within the first {JPEG_MAX_SEGMENTS} JPEG segments")


def _jpeg_size(encoded: bytes, offset: int) -> tuple[int, int]:
    bits, height, width = _fields(encoded, ">BHH", offset)
    if bits != 8:  # noqa: PLR2004 - bits per sample
        raise UndecodableImage("unsupported_format", f"JPEG of {bits} bits per sample; send 8")
    return width, height


def _whole_jpeg(encoded: bytes, scan: int, size_wh: tuple[int, int] | None) -> Header:
    if size_wh is None:
        raise UndecodableImage("corrupt", "a JPEG scan before its size")
    if encoded.rfind(b"\xff\xd9", scan) < 0:  # end of image; cannot occur inside compressed pixels
        raise _cut(len(encoded))
    return Header("jpeg", *size_wh)


def _png(encoded: bytes) -> Header:
    if not encoded.startswith(PNG_HEADER, 8):
        raise UndecodableImage("corrupt", "a PNG that does not begin with its size")
    width, height = _fields(encoded, ">II", 16)
    offset = 8
    for _ in range(PNG_MAX_CHUNKS):
        # OpenCV allocates the length that a chunk claims, up to 2 GB, before it reads the bytes.
        (length,) = _fields(encoded, ">I", offset)
        end = offset + length + 12
        if end > len(encoded):
            raise _cut(len(encoded))
        if encoded.startswith(b"IEND", offset + 4):
            return Header("png", width, height)
        offset = end
    raise UndecodableImage("corrupt", f"no end within the first {PNG_MAX_CHUNKS} PNG chunks")


def _bmp(encoded: bytes) -> Header:
    pixels_at, header_bytes = _fields(encoded, "<II", 10)
    if header_bytes == 12:  # noqa: PLR2004 - the OS/2 header
        width, height, _, bits = _fields(encoded, "<HHHH", 18)
        compression = 0
    else:
        width, height, _, bits, compression = _fields(encoded, "<iiHHI", 18)
    stride_bytes = (width * bits + 31) // 32 * 4
    packed = compression in (0, 3)  # plain, or plain with channel masks; run-length data has no size of its own
    if packed and pixels_at + stride_bytes * abs(height) > len(encoded):
        raise _cut(len(encoded)) if width > 0 else UndecodableImage("corrupt", f"BMP width {width}")
    return Header("bmp", width, abs(height))


def _tiff(encoded: bytes) -> Header:
    order = "<" if encoded[:1] == b"I" else ">"
    (directory,) = _fields(encoded, f"{order}I", 4)
    (count,) = _fields(encoded, f"{order}H", directory)
    # By tag first: a directory may repeat a tag 65,535 times, and each of them may point at the whole file.
    places = {_fields(encoded, f"{order}H", at)[0]: at for at in range(directory + 2, directory + 2 + 12 * count, 12)}
    tags = {tag: _tiff_values(encoded, order, places[tag]) for tag in TIFF_WANTED & places.keys()}
    for offsets, sizes in TIFF_PARTS:
        if offsets in tags and sizes in tags:
            _whole_parts(tags[offsets], tags[sizes], len(encoded))
    width, height, tile_width, tile_height = (int(tags[tag].max(initial=0)) if tag in tags else 0 for tag in TIFF_SIDES)
    return Header("tiff", width, height, tile_width * tile_height)


def _tiff_values(encoded: bytes, order: str, entry: int) -> np.ndarray:
    _, kind, count = _fields(encoded, f"{order}HHI", entry)
    if kind not in TIFF_INTEGERS:
        raise UndecodableImage("corrupt", f"a TIFF size or offset of type {kind}")
    dtype = np.dtype(f"{order}{TIFF_INTEGERS[kind]}")
    size_bytes, offset = dtype.itemsize * count, entry + 8
    if size_bytes > 4:  # noqa: PLR2004 - what does not fit into the entry lies elsewhere
        (offset,) = _fields(encoded, f"{order}I", offset)
    if offset + size_bytes > len(encoded):
        raise _cut(len(encoded))
    return np.frombuffer(encoded, dtype, count, offset).astype(np.int64)


def _whole_parts(offsets: np.ndarray, sizes: np.ndarray, size_bytes: int) -> None:
    if len(offsets) != len(sizes):
        raise UndecodableImage("corrupt", "a TIFF with unequal counts of offsets and sizes")
    if (offsets + sizes > size_bytes).any():
        raise _cut(size_bytes)
