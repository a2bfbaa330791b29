"""Make the golden bank anew, after a change of the format: `python -m tests.softpatch.golden.make_bank`.

A change of the format also raises `softpatch.bank.FORMAT_VERSION`, and with it the name of the file.
"""

from __future__ import annotations

from pathlib import Path

from softpatch.bank import Bank, bank_to_bytes, bank_version
from softpatch.building.build import build_bank
from softpatch.manifest import FORMAT_VERSION
from tests.softpatch.random_embeddings import SETTINGS, MeanColours, names, window

GOLDEN = Path(__file__).with_name(f"bank-v{FORMAT_VERSION}.safetensors")


def golden_bank() -> Bank:
    """The bank of 24 frames, two of them defective: it has trusted and untrusted patches."""
    frames = window(24, defects=2)
    return build_bank(
        frames,
        MeanColours(),
        SETTINGS,
        view="line-1/cam-1",
        frame_names=names(frames),
        created_at="2026-01-01T00:00:00Z",
        provenance={"offsets": {"0": 24}},
        threads=2,
    )


if __name__ == "__main__":
    data = bank_to_bytes(golden_bank())
    GOLDEN.write_bytes(data)
    GOLDEN.with_suffix(".sha256").write_text(bank_version(data) + "\n")
