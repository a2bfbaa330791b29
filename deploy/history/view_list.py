"""The views there are, by their state in Kafka and their window in the store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ingest.bank_state import ViewState
from trainer.window_store import WindowStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ingest.bank_state import BankState
    from ingest.store import Store


@dataclass(frozen=True)
class ListedView:
    """A view, how many frames its window holds, and when the newest of them came."""

    state: BankState
    window_frames: int
    last_kept_at: datetime | None

    def to_json(self) -> dict[str, object]:
        """For scripts."""
        return {
            "view": self.state.view,
            "state": self.state.state.value,
            "window_frames": self.window_frames,
            "last_kept_at": None if self.last_kept_at is None else self.last_kept_at.isoformat(),
            "bank": None if self.state.active is None else self.state.active.version,
            "since": self.state.at.isoformat(),
            "by": self.state.by,
            "why": self.state.why,
        }


def listed_views(states: Mapping[str, BankState], store: Store) -> list[ListedView]:
    """Every view that is not retired, the longest silent first. Raises StoreError, NewerIndex."""
    windows = WindowStore(store)
    views = [_listed(state, windows) for state in states.values() if state.state is not ViewState.RETIRED]
    never = datetime.fromtimestamp(0, UTC)
    return sorted(views, key=lambda each: (each.last_kept_at or never, each.state.view))


def _listed(state: BankState, windows: WindowStore) -> ListedView:
    index = windows.load(state.view)
    if index is None or not index.frames:
        return ListedView(state, 0, None)
    newest = max(frame.appended_ms for frame in index.frames)
    return ListedView(state, len(index.frames), datetime.fromtimestamp(newest / 1000, UTC))
