"""The banks of every view: their files in the store, and the state that the trainer last published of a view."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING

from deploy.errors import UsageError
from ingest.bank_updates import bank_states
from ingest.kafka.readers import WholeTopicReader
from ingest.store import NotInStore
from ingest.store_layout import BANKS, bank_path, banks_among
from softpatch.bank import InvalidBank, bank_from_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from deploy.settings import Settings
    from ingest.bank_state import BankState
    from ingest.store import Store

READ_SECONDS = 15.0


@dataclass(frozen=True)
class StoredBank:
    """A bank file in the store, and what it is to its view now."""

    view: str
    version: str
    role: str
    """active, previous, shadow, candidate, refused, pinned, or empty."""

    @property
    def path(self) -> str:
        """Where it lies in the store."""
        return bank_path(self.view, self.version)


@dataclass(frozen=True)
class BankSummary:
    """A stored bank with its manifest's facts; none where the file cannot be read, no date where it has none."""

    bank: StoredBank
    created_at: datetime | None = None
    threshold: float | None = None

    @property
    def built(self) -> str:
        """When it was built, by this machine's clock; empty where its date cannot be read."""
        return "" if self.created_at is None else f"{self.created_at.astimezone():%Y-%m-%d %H:%M}"

    def threshold_in(self, state: BankState | None) -> float | None:
        """The threshold in force where the state names this bank, else the one it suggests."""
        named = () if state is None else (state.active, state.previous, state.shadow, state.candidate)
        in_force = next((each.threshold for each in named if each and each.version == self.bank.version), None)
        return self.threshold if in_force is None else in_force

    def to_json(self, state: BankState | None) -> dict[str, object]:
        """For scripts."""
        return {
            "view": self.bank.view,
            "version": self.bank.version,
            "role": self.bank.role,
            "created_at": None if self.created_at is None else self.created_at.isoformat(),
            "threshold": self.threshold_in(state),
            "provisional_because": None if state is None else state.provisional_because,
            "frames_needed": None if state is None else state.frames_needed,
        }


def bank_summary(store: Store, bank: StoredBank) -> BankSummary:
    """The bank with its date and threshold."""
    try:
        manifest = bank_from_bytes(store.get(bank.path)).manifest
    except (NotInStore, InvalidBank):  # swept away meanwhile, or damaged
        return BankSummary(bank)
    return BankSummary(bank, _moment_in(manifest.created_at), manifest.threshold.value)


def _moment_in(created_at: str) -> datetime | None:
    """When a bank was built, in UTC where it names no zone; None where it is not an ISO date."""
    try:
        moment = datetime.fromisoformat(created_at)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def newest_first(banks: Iterable[BankSummary]) -> list[BankSummary]:
    """By view, and of each view the newest first."""
    long_ago = datetime.fromtimestamp(0, UTC)
    by_age = sorted(banks, key=lambda each: each.created_at or long_ago, reverse=True)
    return sorted(by_age, key=lambda each: each.bank.view)


def view_states(settings: Settings, *, give_up_seconds: float | None = None) -> dict[str, BankState]:
    """The last state of every view. Raises KafkaFailure."""
    patience = settings.kafka.give_up_seconds if give_up_seconds is None else give_up_seconds
    topic = settings.kafka.topic("banks")
    with WholeTopicReader.open(settings.kafka, topics=[topic], give_up_seconds=patience) as reader:
        return bank_states(reader.read_to_end(READ_SECONDS), accept_newer=True)


def stored_banks(store: Store, known: dict[str, BankState], *, view: str | None) -> list[StoredBank]:
    """Every bank file, by view, with what it is to its view."""
    return [
        StoredBank(owner, version, role_of(known.get(owner), version))
        for owner, version in banks_among(store.paths(BANKS))
        if view in (None, owner)
    ]


def role_of(state: BankState | None, version: str) -> str:
    """What a bank is to a view in this state."""
    if state is None:
        return ""
    roles = {"active": state.active, "previous": state.previous, "shadow": state.shadow, "candidate": state.candidate}
    named = [name for name, bank in roles.items() if bank is not None and bank.version == version]
    refused = state.refused is not None and state.refused.version == version
    return ", ".join([*named, *(["refused"] if refused else []), *(["pinned"] if state.pinned == version else [])])


def find_view(known: Collection[str], view: str) -> str:
    """The view, where it has a state: no trainer answers for another. Raises UsageError with the nearest that has."""
    if view in known:
        return view
    if not known:
        raise UsageError(f"{view} has no bank, nor has any other view yet; the first is built once enough frames came")
    near = get_close_matches(view, known, n=1, cutoff=0.0)
    raise UsageError(f"{view} has no bank; did you mean {near[0]}? patchline bank list shows all")


def find_bank(banks: list[StoredBank], start: str) -> StoredBank:
    """The bank whose version begins with `start`. Raises UsageError where there is none, or more than one."""
    fitting = [bank for bank in banks if bank.version.startswith(start)]
    if len({bank.version for bank in fitting}) == 1:
        return fitting[0]
    if not fitting:
        raise UsageError(f"no bank version starts with {start}; patchline bank list shows them")
    raise UsageError(f"{len(fitting)} bank versions start with {start}; write more of it")
