"""Pictures that cost far more to decode than their bytes say, made from the formats' specifications."""

from __future__ import annotations

import struct
import zlib


def scan_bomb(*, side_px: int, scans: int) -> bytes:
    """A gray progressive JPEG: one scan of levels, then so many of coefficients that say "nothing" for every block."""

    def segment(marker: int, body: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body

    def codes(table: int, symbol: int) -> bytes:
        return segment(0xC4, bytes([table, 1, *[0] * 15, symbol]))  # one symbol, written as the bit 0

    blocks = ((side_px + 7) // 8) ** 2
    frame = segment(0xC2, struct.pack(">BHHB", 8, side_px, side_px, 1) + b"\x01\x11\x00")
    levels = segment(0xDA, b"\x01\x01\x00\x00\x00\x00") + bytes((blocks + 7) // 8)
    empty = segment(0xDA, b"\x01\x01\x00\x01\x3f\x00") + _ends_of_blocks(blocks)
    tables = segment(0xDB, b"\0" + bytes([1] * 64)) + codes(0x00, 0x00) + codes(0x10, 0xE0)
    return b"\xff\xd8" + tables + frame + levels + empty * (scans - 1) + b"\xff\xd9"


def _ends_of_blocks(blocks: int) -> bytes:
    """Runs of 2^14 and more blocks without a coefficient: the symbol E0 (bit 0) and 14 bits of the rest."""
    bits = ""
    while blocks > 0:
        run = min(blocks, 2**15 - 1)
        bits += "0" + format(max(run - 2**14, 0), "014b")
        blocks -= run
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\0")


def deep_png(*, width_px: int, height_px: int) -> bytes:
    """A black PNG of 16 bits and four channels: 8 bytes a pixel, compressed to nearly nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width_px, height_px, 16, 6, 0, 0, 0)
    row = b"\0" + bytes(8 * width_px)
    packer = zlib.compressobj(9, wbits=-15)
    packed = packer.compress(row) + packer.flush(zlib.Z_FULL_FLUSH)  # what nothing before it is needed for
    checksum = len(row) * height_px % 65521 << 16 | 1  # Adler-32 of zeros
    pixels = b"\x78\xda" + packed * height_px + b"\x03\0" + struct.pack(">I", checksum)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
