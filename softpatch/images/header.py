"""The header of an encoded image, read before a pixel is decoded: format, size, and whether its end is there.

Decoders decode first and ask later: a header that promises 100 megapixels costs 300 MB, and a JPEG of a few hundred
kilobytes that paints its pixels in thousands of scans costs minutes. Four formats, each read by one short function;
nothing is allocated.
"""

import re
import struct
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

UndecodableReason = Literal[
    "empty", "unsupported_format", "truncated", "too_many_pixels", "too_small", "too_costly", "corrupt"
]
ImageFormat = Literal["jpeg", "png", "bmp", "tiff"]

OTHER_FORMATS = {
    "BigTIFF": re.compile(rb"II\+\0|MM\0\+"),
    "WebP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "GIF": re.compile(rb"GIF8[79]a"),
    "JPEG 2000": re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"),
    "JPEG XL": re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "),
    "AVIF or HEIF": re.compile(rb"....ftyp", re.DOTALL),
    "PNM": re.compile(rb"P[1-7]\s"),
    "PDF": re.compile(rb"%PDF-"),
    "gzip": re.compile(rb"\x1f\x8b"),
}
JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..SOF15 without DHT, JPG and DAC
JPEG_DECODED = frozenset(
    {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}
)  # baseline, extended and progressive; not lossless, not layered
JPEG_PROGRESSIVE = frozenset({0xC2, 0xCA})
JPEG_MARKER, JPEG_SCAN, JPEG_END = 0xFF, 0xDA, 0xD9
"""The byte that opens every marker; compressed pixels follow a scan's header."""
JPEG_NEXT_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd7]")  # in compressed pixels; FF 00 is a pixel's, RST goes on
JPEG_BARE = {JPEG_MARKER: 1, 0x01: 2} | dict.fromkeys(
    range(0xD0, 0xD8), 2
)  # bytes of a fill, TEM, RST: no length follows
JPEG_MAX_SEGMENTS = 4096  # 10 MB of fill bytes would otherwise keep the loop busy for seconds
PNG_HEADER = b"\0\0\0\x0dIHDR"
PNG_MAX_CHUNKS = 65_536
PNG_CHANNELS = {
    0: 1,
    2: 3,
    3: 3,
    4: 4,
    6: 4,
}  # by colour type; a palette becomes colours, gray with alpha four channels
TIFF_INTEGERS = {1: "u1", 3: "u2", 4: "u4"}  # BYTE, SHORT, LONG
TIFF_SIDES = (256, 257, 322, 323)  # width and height of the image, and of its tiles
TIFF_PARTS = ((273, 279), (324, 325))  # offsets and byte counts of strips, and of tiles
TIFF_BITS, TIFF_COMPRESSION, TIFF_SAMPLES, TIFF_SAMPLE_FORMAT = 258, 259, 277, 339
TIFF_WANTED = frozenset(
    (*TIFF_SIDES, *TIFF_PARTS[0], *TIFF_PARTS[1], TIFF_BITS, TIFF_COMPRESSION, TIFF_SAMPLES, TIFF_SAMPLE_FORMAT)
)
TIFF_KINDS = {2: "signed", 3: "float", 5: "complex", 6: "complex float"}
TIFF_DECODED = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946})  # plain, CCITT, LZW, JPEG, deflate, PackBits
TIFF_DEEPEST_BITS = 16


class UndecodableImage(ValueError):
    """These bytes are not a whole image; `reason` is the word that decisions and dead letters carry."""

    def __init__(self, reason: UndecodableReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: UndecodableReason = reason


@dataclass(frozen=True)
class Header:
    """Format, size and cost; a TIFF tile may be larger than its image, and the decoder holds a whole one."""

    format: ImageFormat
    width_px: int
    height_px: int
    tile_pixels: int = 0
    stored_bytes: int = 3
    """Of one decoded pixel, as the file keeps it."""
    sample_bits: int = 8
    """Of one sample, as the file says it; the decoder makes 16 of 9 to 16."""
    scans: int = 1
    """How often the decoder passes over the pixels."""
    coefficients: bool = False
    """Whether the decoder holds the whole picture's coefficients, two bytes each, before the first pixel."""

    @property
    def pixels(self) -> int:
        """The pixels to budget for."""
        return max(self.width_px * self.height_px, self.tile_pixels)

    @property
    def work_bytes(self) -> int:
        """What the decoder writes, over all of its passes: decoding takes 2 to 20 ns for each."""
        return self.pixels * self.stored_bytes * self.scans

    @property
    def memory_bytes(self) -> int:
        """What decoding to 8-bit RGB holds at once: a JPEG straight to RGB, other formats by way of two copies."""
        if self.format == "jpeg":
            return self.pixels * (3 + 2 * self.stored_bytes * self.coefficients)
        return self.pixels * (self.stored_bytes + 6)


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
    kind = next((name for name, magic in OTHER_FORMATS.items() if magic.match(encoded)), None)
    seen = f"this is {kind}" if kind else f"starts with {encoded[:8]!r}"
    raise UndecodableImage("unsupported_format", f"{seen}; send JPEG, PNG, BMP or TIFF")


def _fields(encoded: bytes, layout: str, offset: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(layout, encoded, offset)
    except struct.error:
        raise _cut(len(encoded)) from None


def _cut(size_bytes: int) -> UndecodableImage:
    return UndecodableImage("truncated", f"the image ends early, after {size_bytes} bytes; send the whole file")


def _jpeg(encoded: bytes) -> Header:
    offset, frame = 2, None
    for _ in range(JPEG_MAX_SEGMENTS):
        start, marker = _fields(encoded, ">BB", offset)
        if start != JPEG_MARKER:
            raise UndecodableImage("corrupt", f"no JPEG marker at byte {offset}")
        if marker in JPEG_BARE:
            offset += JPEG_BARE[marker]
            continue
        (length,) = _fields(encoded, ">H", offset + 2)
        if marker in JPEG_SIZES:
            frame = _jpeg_frame(encoded, marker, offset + 4)
        if marker == JPEG_SCAN:
            return _whole_jpeg(encoded, offset, frame)
        offset += 2 + length
    raise UndecodableImage("corrupt", f"no pixels within the first {JPEG_MAX_SEGMENTS} JPEG segments")


def _jpeg_frame(encoded: bytes, marker: int, offset: int) -> Header:
    bits, height, width, channels = _fields(encoded, ">BHHB", offset)
    if bits != 8:  # noqa: PLR2004 - bits per sample
        raise UndecodableImage("unsupported_format", f"JPEG of {bits} bits per sample; send 8")
    if marker not in JPEG_DECODED:
        raise UndecodableImage(
            "unsupported_format", f"a lossless or hierarchical JPEG (SOF{marker - 0xC0}); send baseline or progressive"
        )
    return Header("jpeg", width, height, stored_bytes=max(channels, 1), coefficients=marker in JPEG_PROGRESSIVE)


def _whole_jpeg(encoded: bytes, scan: int, frame: Header | None) -> Header:
    if frame is None:
        raise UndecodableImage("corrupt", "a JPEG scan before its size")
    if encoded.rfind(b"\xff\xd9", scan) < 0:  # end of image; cannot occur inside compressed pixels
        raise _cut(len(encoded))
    scans = _jpeg_scans(encoded, scan)
    return replace(frame, scans=scans, coefficients=frame.coefficients or scans > 1)


def _jpeg_scans(encoded: bytes, offset: int) -> int:
    """How many scans there are from the first one on; counting ends where the segments do."""
    scans = 0
    for _ in range(JPEG_MAX_SEGMENTS):
        marker = encoded[offset + 1]
        if marker == JPEG_END:
            break
        scans += marker == JPEG_SCAN
        length = int.from_bytes(encoded[offset + 2 : offset + 4])
        found = JPEG_NEXT_MARKER.search(encoded, offset + 2 + length)
        if found is None:
            break
        offset = found.start()
    return scans


def _png(encoded: bytes) -> Header:
    if not encoded.startswith(PNG_HEADER, 8):
        raise UndecodableImage("corrupt", "a PNG that does not begin with its size")
    width, height, bits, colour = _fields(encoded, ">IIBB", 16)
    offset = 8
    for _ in range(PNG_MAX_CHUNKS):
        # OpenCV allocates the length that a chunk claims, up to 2 GB, before it reads the bytes.
        (length,) = _fields(encoded, ">I", offset)
        end = offset + length + 12
        if end > len(encoded):
            raise _cut(len(encoded))
        if encoded.startswith(b"IEND", offset + 4):
            stored_bytes = PNG_CHANNELS.get(colour, 4) * (2 if bits > 8 else 1)  # noqa: PLR2004
            return Header("png", width, height, stored_bytes=stored_bytes, sample_bits=bits)
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
    largest = {tag: int(values.max(initial=0)) for tag, values in tags.items()}
    bits, samples = largest.get(TIFF_BITS, 1), largest.get(TIFF_SAMPLES, 1)
    _decoded_samples(bits, largest.get(TIFF_SAMPLE_FORMAT, 1), largest.get(TIFF_COMPRESSION, 1))
    width, height, tile_width, tile_height = (largest.get(tag, 0) for tag in TIFF_SIDES)
    # Few colours become three or four channels, one byte each.
    stored_bytes = max(samples, 4) if bits <= 8 else 2 * samples  # noqa: PLR2004
    return Header("tiff", width, height, tile_width * tile_height, stored_bytes=stored_bytes, sample_bits=bits)


def _decoded_samples(bits: int, sample_format: int, compression: int) -> None:
    if bits > TIFF_DEEPEST_BITS or sample_format in TIFF_KINDS:
        kind = f"{bits}-bit {TIFF_KINDS.get(sample_format, 'integer')} samples"
        raise UndecodableImage("unsupported_format", f"{kind}; send 8 or 16 bits")
    if compression not in TIFF_DECODED:
        raise UndecodableImage(
            "unsupported_format", f"TIFF compression {compression}; send it plain, or by LZW or deflate"
        )


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
