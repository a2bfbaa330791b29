"""What `patchline bank` says of a view below its table: what is uncertain, what a person asked for, what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.output.bank_facts import short_version
from ingest.bank_state import ViewState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ingest.bank_state import BankState


def view_sentences(state: BankState, stored_versions: Collection[str]) -> Iterator[str]:
    """What there is to say of a view, the worst first; `stored_versions` are the banks that the store has of it."""
    view, active = state.view, state.active
    if active is not None and active.version not in stored_versions:
        yield (
            f"{view}: the store has no file of bank {short_version(active.version)}, which is in force. The trainer "
            "builds a new one from the frames that Kafka still has, if its store is this one (store.url)."
        )
    if state.state is ViewState.HELD:
        yield f"{view} is held by {state.by}, nothing is learnt: {state.why}"
    if state.refused is not None:
        yield f"{view}: bank {short_version(state.refused.version)} is not in force: {state.refused.why}."
    if state.shadow is not None:
        yield (
            f"{view}: bank {short_version(state.shadow.version)} scores beside the one in force; "
            f"patchline shadow {view} shows what it decides otherwise."
        )
    if state.provisional_because is not None:
        yield f"{view} is provisional: {state.provisional_because}."
    if state.threshold_from is not None:
        yield f"{view}: the threshold is for {asked_words(state)}, asked for by {state.threshold_from}."
    if waiting := len(state.open_groups):
        groups = "1 group waits" if waiting == 1 else f"{waiting} groups wait"
        yield f"{view}: {groups} for a person's word; patchline review list {view} shows what."


def asked_words(state: BankState) -> str:
    """The ratio and the band that hold for every later bank; by the settings where nobody asked for them."""
    ratio, band = state.false_reject_ratio, state.undecided_band
    parts = [] if ratio is None else [f"false rejects of {100 * ratio:.3g} %"]
    parts += [] if band is None else [f"an undecided band of {band[0]:g} to {band[1]:g}"]
    return " and ".join(parts) or "what the settings say"


def threshold_facts(state: BankState, version: str) -> dict[str, object]:
    """Where the threshold of a view comes from, and what it is where this bank is in force."""
    active = state.active
    return {
        "threshold_in_force": active.threshold if active is not None and active.version == version else None,
        "threshold_from": state.threshold_from or "the view's settings",
        "asked_false_reject_ratio": state.false_reject_ratio,
        "asked_undecided_band": state.undecided_band,
    }
