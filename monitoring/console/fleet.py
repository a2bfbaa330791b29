"""The fleet: how each view stands, and in which order a person should look. Pure functions of values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from ingest.bank_state import ViewState
from ingest.drift_event import DriftEventKind
from monitoring.record.queries import VerdictCounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from ingest.bank_state import BankState
    from ingest.drift_event import DriftEvent
    from monitoring.record.queries import ViewSummary

MANY_UNDECIDED = 0.2
FEWEST_DECIDED = 20
"""Of so few decisions no share says anything."""


class Need(IntEnum):
    """How much a view needs a person, the most last."""

    NOTHING = 0
    PATIENCE = 1
    """It is learning."""
    ANSWER = 2
    """Somebody is asked something, or much is undecided."""
    HELP = 3
    """It is silent, or the line has changed."""


@dataclass(frozen=True)
class Alarm:
    """One thing to know of a view: a key of the catalogue with its values."""

    need: Need
    key: str
    values: Mapping[str, object]


@dataclass(frozen=True)
class ViewTile:
    """One view of the fleet."""

    summary: ViewSummary
    state: ViewState
    counts: VerdictCounts
    alarms: Sequence[Alarm]
    ratios: Sequence[float | None]
    verdicts: Sequence[str]

    @property
    def need(self) -> Need:
        """The most that one of its alarms asks for."""
        return max((alarm.need for alarm in self.alarms), default=Need.NOTHING)

    @property
    def reject_ratio(self) -> float | None:
        """Of passes and fails within the counted time."""
        return self.counts.failed / self.counts.decided if self.counts.decided else None


def tile_of(
    summary: ViewSummary,
    state: BankState | None,
    counts: VerdictCounts | None,
    episode: DriftEvent | None,
    latest: Sequence[tuple[str, float | None]],
    *,
    now: datetime,
    silent_after: timedelta,
) -> ViewTile:
    """The tile of a view; `episode` is the open one, `latest` verdict and score ratio of its last decisions."""
    counted = counts or VerdictCounts()
    stage = ViewState.LEARNING if state is None else state.state
    return ViewTile(
        summary=summary,
        state=stage,
        counts=counted,
        alarms=tuple(_alarms(summary, state, counted, episode, now=now, silent_after=silent_after)),
        ratios=[ratio for _, ratio in latest],
        verdicts=[verdict for verdict, _ in latest],
    )


def _alarms(
    summary: ViewSummary,
    state: BankState | None,
    counts: VerdictCounts,
    episode: DriftEvent | None,
    *,
    now: datetime,
    silent_after: timedelta,
) -> Iterable[Alarm]:
    silent = now - summary.last_at
    if silent > silent_after:
        yield Alarm(Need.HELP, "alarm.silent", {"seconds": silent.total_seconds()})
    if episode is not None:
        yield Alarm(Need.HELP, "alarm.drift", {"verdict": episode.verdict})
    groups = 0 if state is None else len(state.open_groups)
    if groups:
        yield Alarm(Need.ANSWER, "alarm.groups", {"count": groups})
    if counts.total >= FEWEST_DECIDED and counts.undecided / counts.total > MANY_UNDECIDED and not _learning(state):
        yield Alarm(Need.ANSWER, "alarm.undecided", {"share": counts.undecided / counts.total})
    if _learning(state):
        yield Alarm(Need.PATIENCE, "alarm.learning", {})
    elif state is not None and state.state is ViewState.PROVISIONAL:
        yield Alarm(Need.PATIENCE, "alarm.provisional", {})


def _learning(state: BankState | None) -> bool:
    return state is None or state.state is ViewState.LEARNING


def by_need(tiles: Iterable[ViewTile]) -> list[ViewTile]:
    """What needs a person first; of equal need, where more is rejected, then by name."""
    return sorted(tiles, key=lambda tile: (-tile.need, -(tile.reject_ratio or 0.0), tile.summary.view))


def open_episodes(events: Iterable[DriftEvent]) -> dict[str, DriftEvent]:
    """The episode of drift each view is in, by its last step; events come the newest first."""
    last: dict[str, DriftEvent] = {}
    for event in events:
        last.setdefault(event.view, event)
    return {view: event for view, event in last.items() if event.kind is not DriftEventKind.OVER}


@dataclass(frozen=True)
class EpisodeOfView:
    """An episode of drift, from its first step to its last one; `over` None while it goes on."""

    began: DriftEvent
    latest: DriftEvent
    over: DriftEvent | None


def episodes(events: Sequence[DriftEvent]) -> list[EpisodeOfView]:
    """The episodes of one view, the newest first; events come the newest first."""
    found: list[EpisodeOfView] = []
    began: DriftEvent | None = None
    latest: DriftEvent | None = None
    for event in reversed(events):
        if event.kind is DriftEventKind.OVER:
            if began is not None and latest is not None:
                found.append(EpisodeOfView(began, latest, event))
            began = latest = None
        else:
            began, latest = began or event, event
    if began is not None and latest is not None:
        found.append(EpisodeOfView(began, latest, None))
    return found[::-1]
