"""An index and the lines after it give the window that was; whatever a crash leaves of the last line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.kafka.connecting import Deadline
from tests.trainer.fake_loop import FRAMES, CollectingTrainer, record
from tests.trainer.kafka_line import picture
from tests.trainer.views import VIEW, source, window
from trainer.settings import ViewTraining
from trainer.window import Bounds, KeptFrame, LastBuild, WindowIndex, forgotten, kept, passed
from trainer.window_journal import journal_line, replayed

if TYPE_CHECKING:
    from pathlib import Path

BOUNDS = Bounds(frames=6, bytes=10_000, span_frames=40)


def frame_after(index: WindowIndex, offset: int) -> KeptFrame:
    """The next frame of a view."""
    template = window(1).frames[0]
    return template.model_copy(update={"offset": offset, "number": index.seen, "frame_id": f"f{offset}"})


def changed(index: WindowIndex, kind: str, offset: int) -> WindowIndex:
    """One of the things that happen to a window."""
    if kind == "kept":
        return kept(index, frame_after(index, offset), BOUNDS).index
    if kind == "passed":
        return passed(index, source(offset, partition=offset % 2), counted=True)
    if kind == "built":
        return index.model_copy(update={"last_build": LastBuild(seen=index.seen, failed=False), "build_request": None})
    if kind == "modes":
        frames = tuple(each.model_copy(update={"mode": f"m{offset}"}) for each in index.frames)
        return index.model_copy(update={"frames": frames})
    return forgotten(index).index


@given(st.lists(st.sampled_from(["kept", "passed", "built", "modes", "forgotten"]), max_size=30), st.integers(0, 500))
def test_the_lines_after_an_index_give_every_window_that_was(kinds: list[str], cut: int) -> None:
    """Line by line the same as the whole; of a line that was cut nothing is taken."""
    first = index = window(3)
    journal, states = b"", [first]
    for offset, kind in enumerate(kinds, 100):
        after = changed(index, kind, offset)
        line = journal_line(index, after)
        assert line is not None
        journal += line
        index = after
        states.append(index)
    assert replayed(first.to_bytes(), journal) == (index, 0)
    cut_journal = journal[: max(0, len(journal) - cut)]
    lines = cut_journal.count(b"\n")
    left_out = len(cut_journal) - (cut_journal.rfind(b"\n") + 1)
    assert replayed(first.to_bytes(), cut_journal) == (states[lines], left_out)


def test_frames_in_another_order_need_a_whole_index() -> None:
    """A journal only ever adds at the end."""
    index = window(3)
    assert journal_line(index, index.model_copy(update={"frames": index.frames[::-1]})) is None


@pytest.mark.parametrize("damage", [b"[]\n", b"}{\n", b"\xff\xfe\n"])
def test_nothing_is_taken_from_a_damaged_line_on(damage: bytes) -> None:
    """What came before it is a window that was."""
    index = window(2)
    after = passed(index, source(7), counted=True)
    line = journal_line(index, after)
    assert line is not None
    later = journal_line(after, passed(after, source(8), counted=True))
    assert later is not None
    assert replayed(index.to_bytes(), line + damage + later) == (after, len(damage + later))


def written_bytes(trainer: CollectingTrainer, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What is written from now on below `windows`, but for frames: how, and how many bytes."""
    written: list[tuple[str, int]] = []
    for how in ("put", "append"):
        real = getattr(trainer.store, how)

        def noted(path: str, data: bytes, how: str = how, real: object = real) -> None:
            if path.startswith("windows/") and "index" in path:
                written.append((how, len(data)))
            real(path, data)  # type: ignore[operator]

        monkeypatch.setattr(trainer.store, how, noted)
    return written


@pytest.mark.slow
def test_a_running_view_costs_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each flush wrote the whole index, 73 kB for 400 frames: 3 GB a day and view."""
    trainer = CollectingTrainer(tmp_path, ViewTraining(window_frames=400))
    pixels = [picture(number) for number in range(50)]
    view = trainer.views.opened(VIEW, partition=FRAMES, at_ms=0)
    view.change_window(window(400).model_copy(update={"stride": 20}))
    trainer.publisher.save(view)
    written = written_bytes(trainer, monkeypatch)
    for offset in range(400, 600):
        trainer.take(record(offset, pixels[offset % 50]))
        if offset % 2:
            trainer.flush()
    whole = len(view.index.to_bytes())
    assert len(written) == 100
    assert {how for how, _ in written} == {"append"}
    assert sum(size for _, size in written) < whole / 2


def test_a_journal_ends_in_a_whole_index(tmp_path: Path) -> None:
    """It is as long as the index at most, and a new one begins; the old one is gone."""
    trainer = CollectingTrainer(tmp_path)
    pictures = [picture(number) for number in range(12)]
    for offset in range(300):
        trainer.take(record(offset, pictures[offset % 12], frame_id=f"f{offset}"))
        trainer.flush()
    names = [path for path in trainer.store.paths("windows") if not path.endswith(".frame")]
    assert len(names) == 2
    assert trainer.store.get(names[0]) != b""
    assert CollectingTrainer(tmp_path).views.get(VIEW).index == trainer.views.get(VIEW).index  # type: ignore[union-attr]


def test_a_restart_writes_its_first_index_whole(tmp_path: Path) -> None:
    """A line that a crash cut must not get another behind it."""
    trainer = CollectingTrainer(tmp_path)
    for offset in range(3):
        trainer.take(record(offset, picture(offset)))
        trainer.flush()
    (journal,) = [path for path in trainer.store.paths("windows") if path.endswith(".journal")]
    trainer.store.append(journal, b'{"seen":')
    again = CollectingTrainer(tmp_path)
    again.take(record(3, picture(3)))
    again.flush()
    assert not [path for path in again.store.paths("windows") if path.endswith(".journal")]
    index = CollectingTrainer(tmp_path).windows.load(VIEW)
    assert index is not None
    assert [frame.offset for frame in index.frames] == [0, 1, 2, 3]


def test_an_assignment_reads_no_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,400 took longer than Kafka waits for a poll; each is read when its view is asked for, or in its turn."""
    trainer = CollectingTrainer(tmp_path)
    for number in range(3):
        trainer.take(record(number, picture(number), key=f"line-1/camera-{number}".encode()))
    trainer.flush()
    trainer.views.revoked(frozenset({FRAMES}))
    loaded: list[str] = []
    load = trainer.windows.load
    monkeypatch.setattr(trainer.windows, "load", lambda view: (loaded.append(view), load(view))[1])
    trainer.views.assigned({FRAMES: 3}, Deadline(30))
    assert (loaded, list(trainer.views)) == ([], [])
    assert trainer.views.get("line-1/camera-2") is not None
    assert loaded == ["line-1/camera-2"]
    ticks = iter(range(100))
    trainer.views.read_on(1, clock=lambda: float(next(ticks)))
    assert len(loaded) == 1
    trainer.views.read_on(10)
    assert {view.name for view in trainer.views} == {f"line-1/camera-{number}" for number in range(3)}
