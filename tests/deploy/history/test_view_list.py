"""The list of views: who is silent, and since when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from deploy.history.view_list import listed_views
from ingest.bank_state import ViewState
from ingest.store import FsspecStore
from ingest.store_layout import window_index_path
from tests.deploy.annotations import view_state
from trainer.window import KeptFrame, WindowIndex

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)


def window(view: str, *hours: int) -> bytes:
    """A window of frames that came so many hours after the first."""
    frames = tuple(
        KeptFrame(
            partition=0,
            offset=number,
            number=number,
            frame_id=str(number),
            sha256="0a" * 32,
            size_bytes=1,
            appended_ms=round((AT + timedelta(hours=hour)).timestamp() * 1000),
            difference_hash="00ff00ff00ff00ff",
        )
        for number, hour in enumerate(hours)
    )
    return WindowIndex(view=view, topic="frames", home=0, seen=len(frames), frames=frames).to_bytes()


def test_the_longest_silent_come_first_and_the_retired_not_at_all() -> None:
    """A view that never sent a frame worth keeping is silent for ever; a retired one is over."""
    store = FsspecStore.open("memory://listed")
    for view, hours in (("line/busy", (0, 9, 5)), ("line/quiet", (1, 2))):
        store.put(window_index_path(view), window(view, *hours))
    states = {
        view: view_state(view=view, state=state)
        for view, state in (
            ("line/busy", ViewState.LEARNING),
            ("line/quiet", ViewState.LEARNING),
            ("line/never", ViewState.LEARNING),
            ("line/over", ViewState.RETIRED),
        )
    }
    listed = [(each.state.view, each.window_frames, each.last_kept_at) for each in listed_views(states, store)]
    assert listed == [
        ("line/never", 0, None),
        ("line/quiet", 2, AT + timedelta(hours=2)),
        ("line/busy", 3, AT + timedelta(hours=9)),
    ]
