"""What a demo leaves: a contact sheet, or one sentence why there is none."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, cast

import pytest

from deploy.demo.plan import Plan
from deploy.demo.report import draw_sheet
from deploy.errors import CommandFailed
from deploy.local_stack.outcomes import FrameOutcome
from deploy.local_stack.sending import SentFrame
from ingest.cameras.simulator import Simulator
from softpatch.images.decode import decode
from tests.deploy.runs import decided, source
from tests.inference.sample_bank import GEOMETRY

if TYPE_CHECKING:
    from pathlib import Path

    from softpatch.bank import Bank

FIRST = {source(number): FrameOutcome(decided(0.5 + number, offset=number), number + 0.2) for number in range(3)}


@cache
def plan() -> Plan:
    """Three frames of a line."""
    line = Simulator("ring", seed=1, clock=lambda: datetime(2026, 11, 24, tzinfo=UTC), size_px=128)
    frames = [line.frame(number) for number in range(3)]
    return Plan(frames, frames, "rings")


def sent() -> list[SentFrame]:
    """Each of them, sent a second after the one before."""
    return [SentFrame(frame, source(number), float(number)) for number, frame in enumerate(plan().rest)]


class _Manifest:
    geometry = GEOMETRY


class _BankOfAnyKind:
    """A sheet needs no more of a bank than its geometry."""

    manifest = _Manifest()


BANK = cast("Bank", _BankOfAnyKind())


def test_the_contact_sheet_is_a_picture(tmp_path: Path) -> None:
    """In a folder that is made for it."""
    path = draw_sheet(plan(), sent(), FIRST, BANK, tmp_path / "new" / "contact-sheet.png")
    assert decode(path.read_bytes()).shape[1] == 1800


@pytest.mark.parametrize("name", ["file/contact-sheet.png", "contact-sheet", "folder.png"])
def test_a_sheet_that_cannot_be_written_fails_the_demo_in_one_sentence(tmp_path: Path, name: str) -> None:
    """OpenCV says so by a return value, which was ignored (the demo named a picture that is not there), or raises."""
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(CommandFailed, match=r"^cannot write .*; name a \.png in a folder you may write to$") as failed:
        draw_sheet(plan(), sent(), FIRST, BANK, tmp_path / name)
    assert failed.value.exit_code == 1


def test_a_run_without_decisions_has_nothing_to_show(tmp_path: Path) -> None:
    """The logs of the services say why."""
    with pytest.raises(CommandFailed, match="no frame was decided"):
        draw_sheet(plan(), sent(), {}, BANK, tmp_path / "contact-sheet.png")
