"""`patchline bank`: which banks there are, what is in one, and which of them is in force."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, ViewArgument, ViewOption, Why, load
from deploy.errors import UsageError
from deploy.history import banks
from deploy.output.bank_facts import bank_facts, detection_words, group_words, readable, short_version
from deploy.output.event_line import report_event
from deploy.output.reports import write_json
from deploy.output.view_sentences import threshold_facts, view_sentences
from deploy.pictures.detection_plot import plot_detection
from deploy.settings import Settings
from deploy.trainer_commands import new_command, send_command
from ingest.bank_state import BankState
from ingest.command import CommandKind
from ingest.kafka.errors import KafkaFailure
from ingest.store import FsspecStore
from softpatch.bank import bank_from_bytes, bank_version
from softpatch.manifest import Manifest

STATE_SECONDS = 3.0
"""For what is in force, where a bank can be shown without it."""


def list_banks(
    *,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    view: ViewOption = None,
    json: JsonFile = None,
) -> None:
    """List the banks in the store, and which of them is in force.

    The newest of each view comes first.
    """
    loaded = load(settings, flags, bootstrap=bootstrap)
    states, store = banks.view_states(loaded), FsspecStore.open(loaded.store.url)
    stored = banks.stored_banks(store, states, view=view)
    summaries = banks.newest_first([banks.bank_summary(store, each) for each in stored])
    console = Console()
    shown = [state for state in states.values() if view in (None, state.view)]
    console.print(_table(summaries, states) if summaries else _no_banks(shown))
    for state in shown:
        versions = {each.version for each in stored if each.view == state.view}
        for sentence in view_sentences(state, versions):
            console.print(sentence, highlight=False, markup=False, soft_wrap=True)
    document = {"banks": [each.to_json(states.get(each.bank.view)) for each in summaries]}
    write_json(json, {**document, "views": [_view_facts(state) for state in shown]})


def show(
    *,
    bank: Annotated[str, typer.Argument(metavar="BANK", help="A bank file, or the start of a version.")],
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    json: JsonFile = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw how often it finds planted defects, by size.")
    ] = None,
) -> None:
    """Show what a bank was built from and what it decides by.

    Of a bank in the store, also where the threshold in force comes from. A bank file needs no Kafka.
    """
    loaded = load(settings, flags, bootstrap=bootstrap)
    from_file = Path(bank).is_file()
    data = Path(bank).read_bytes() if from_file else _from_store(loaded, bank)
    read, version = bank_from_bytes(data), bank_version(data)
    limit = loaded.training_of(read.manifest.view).provisional_interval_ratio
    facts = bank_facts(read, version, len(data), interval_ratio_limit=limit)
    state = None if from_file else _known_state(loaded, read.manifest.view)
    if state is not None:
        facts |= threshold_facts(state, version)
    manifest = read.manifest
    said = {
        "groups": [group_words(each) for each in manifest.groups],
        "detection": detection_words(
            manifest.detection, manifest.frame_px, field_of_view_mm=manifest.settings.field_of_view_mm
        ),
    }
    Console().print(_facts_table(facts | said))
    write_json(json, facts)
    if plot is not None:
        _plot(manifest, plot)


def _plot(manifest: Manifest, path: Path) -> None:
    if manifest.detection is None:
        raise UsageError("no defects were planted for this bank: set build.detection_plants above 0 and build anew")
    width_mm = manifest.settings.field_of_view_mm
    plot_detection(
        manifest.detection,
        path,
        title=f"{manifest.view}, {manifest.created_at[:16].replace('T', ' ')}: defects planted and found",
        px_per_mm=None if width_mm is None else manifest.frame_px.width_px / width_mm,
    )


def promote(
    *,
    view: ViewArgument,
    version: Annotated[
        str | None,
        typer.Argument(metavar="[VERSION]", help="The bank's version, or its start. [dim]The one in shadow.[/]"),
    ] = None,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    why: Why = "by hand",
    json: JsonFile = None,
) -> None:
    """Put a bank in force and wait until it is."""
    loaded = load(settings, flags, bootstrap=bootstrap)
    states = banks.view_states(loaded)
    candidate = states[banks.find_view(states, view)].candidate
    if version is None and candidate is None:
        raise UsageError(f"no bank of {view} waits for being put in force: name one; patchline bank list shows them")
    start = version or (candidate.version if candidate else "")
    chosen = banks.find_bank(banks.stored_banks(FsspecStore.open(loaded.store.url), {}, view=view), start)
    command = new_command(CommandKind.PROMOTE, view, why=why, at=datetime.now(UTC), version=chosen.version)
    report_event(send_command(loaded, command), json)


def rollback(
    *,
    view: ViewArgument,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    why: Why = "by hand",
    json: JsonFile = None,
) -> None:
    """Put the previous bank back in force and wait until it is."""
    loaded = load(settings, flags, bootstrap=bootstrap)
    banks.find_view(banks.view_states(loaded), view)
    command = new_command(CommandKind.ROLLBACK, view, why=why, at=datetime.now(UTC))
    report_event(send_command(loaded, command), json)


def _table(summaries: list[banks.BankSummary], states: dict[str, BankState]) -> Table:
    table = Table("view", "state", "bank", "built", "threshold", "role")
    table.columns[4].justify = "right"
    for each in summaries:
        state = states.get(each.bank.view)
        table.add_row(
            each.bank.view,
            state.state.value if state else "",
            short_version(each.bank.version),
            each.built,
            readable(each.threshold_in(state)) if each.threshold else "[red]not readable[/]",
            each.bank.role,
        )
    return table


def _no_banks(states: list[BankState]) -> str:
    """Why the store has none: nothing was learnt yet, or it is not the store in which the banks are."""
    if any(state.active is not None for state in states):
        return "The store has no bank."
    return "No banks yet: the first is built once a view has seen enough frames."


def _facts_table(facts: Mapping[str, object]) -> Table:
    table = Table.grid(padding=(0, 3))
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(f"[bold]{name.replace('_', ' ')}[/]", escape(readable(value)))
    return table


def _view_facts(state: BankState) -> dict[str, object]:
    """A view's state for scripts, without its banks and annotations."""
    facts = state.model_dump(
        mode="json", include={"view", "state", "false_reject_ratio", "undecided_band", "threshold_from"}
    )
    return {**facts, "open_groups": [each.id for each in state.open_groups]}


def _known_state(settings: Settings, view: str) -> BankState | None:
    """The state of a view; None where it has none, or no broker answers: the bank file is there all the same."""
    try:
        return banks.view_states(settings, give_up_seconds=STATE_SECONDS).get(view)
    except KafkaFailure as error:
        Console(stderr=True).print(f"What is in force is not known: {error}", markup=False, soft_wrap=True)
        return None


def _from_store(settings: Settings, start: str) -> bytes:
    if not start or not set(start) <= set("0123456789abcdef"):
        raise UsageError(f"{start} is neither a bank file nor the start of a version; patchline bank list shows them")
    store = FsspecStore.open(settings.store.url)
    return store.get(banks.find_bank(banks.stored_banks(store, {}, view=None), start).path)
