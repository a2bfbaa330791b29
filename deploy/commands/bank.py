"""`patchline bank`: which banks there are, what is in one, and which of them is in force."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, ViewOption, Why, load
from deploy.errors import UsageError
from deploy.output.reports import write_json

if TYPE_CHECKING:
    from deploy.settings import Settings
    from ingest.bank_event import BankEvent
    from softpatch.bank import Bank

app = typer.Typer(help="Memory banks: list them, look into one, put one in force or back.", no_args_is_help=True)

ViewArgument = Annotated[str, typer.Argument(metavar="VIEW", help="line/camera, or line/camera@product.")]
SHORT = 12


@app.command("list")
def list_banks(
    *,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    view: ViewOption = None,
    json: JsonFile = None,
) -> None:
    """List the banks in the store, the newest of each view first, and which of them is in force."""
    from deploy.history import banks  # noqa: PLC0415
    from ingest.store import FsspecStore  # noqa: PLC0415

    loaded = load(settings, flags, bootstrap=bootstrap)
    known = banks.view_states(loaded)
    store = FsspecStore.open(loaded.store.url)
    found = banks.newest_first(
        [banks.bank_summary(store, each) for each in banks.stored_banks(store, known, view=view)]
    )
    console, table = Console(), Table("view", "state", "bank", "built", "threshold", "role")
    table.columns[4].justify = "right"
    for each in found:
        state = known.get(each.bank.view)
        table.add_row(
            each.bank.view,
            state.state.value if state else "",
            each.bank.version[:SHORT],
            each.built,
            _readable(each.threshold_in(state)) if each.threshold else "[red]not readable[/]",
            each.bank.role,
        )
    console.print(table if found else "No banks yet: the first is built once a view has seen enough frames.")
    for state in known.values():
        if state.provisional_because is not None and view in (None, state.view):
            console.print(f"[bold]{state.view}[/] is provisional: {state.provisional_because}.", highlight=False)
    write_json(json, {"banks": [each.to_json(known.get(each.bank.view)) for each in found]})


@app.command()
def show(
    *,
    bank: Annotated[str, typer.Argument(metavar="BANK", help="A bank file, or the start of a version.")],
    settings: SettingsFile = None,
    flags: SetFlags = None,
    json: JsonFile = None,
) -> None:
    """Show what a bank was built from and what it decides by; a file needs no Kafka."""
    from softpatch.bank import bank_from_bytes, bank_version  # noqa: PLC0415 -- loads the pixel libraries

    loaded = load(settings, flags)
    data = Path(bank).read_bytes() if Path(bank).is_file() else _from_store(loaded, bank)
    read = bank_from_bytes(data)
    limit = loaded.training_of(read.manifest.view).provisional_interval_ratio
    facts = facts_of(read, bank_version(data), len(data), interval_ratio_limit=limit)
    table = Table.grid(padding=(0, 3))
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(f"[bold]{name.replace('_', ' ')}[/]", _readable(value))
    Console().print(table)
    write_json(json, facts)


@app.command()
def promote(
    *,
    view: ViewArgument,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The bank's version, or its start.")],
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    why: Why = "by hand",
    json: JsonFile = None,
) -> None:
    """Put a bank in force and wait until it is."""
    from deploy import trainer_commands  # noqa: PLC0415 -- kafka loads when it is needed
    from deploy.history import banks  # noqa: PLC0415
    from ingest.command import CommandKind  # noqa: PLC0415
    from ingest.store import FsspecStore  # noqa: PLC0415

    loaded = load(settings, flags, bootstrap=bootstrap)
    banks.find_view(banks.view_states(loaded), view)
    chosen = banks.find_bank(banks.stored_banks(FsspecStore.open(loaded.store.url), {}, view=view), version)
    asked = trainer_commands.new_command(
        CommandKind.PROMOTE, view, why=why, at=datetime.now(UTC), version=chosen.version
    )
    _say(trainer_commands.send_command(loaded, asked), json)


@app.command()
def rollback(
    *,
    view: ViewArgument,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    why: Why = "by hand",
    json: JsonFile = None,
) -> None:
    """Put the bank before the present one back in force and wait until it is."""
    from deploy import trainer_commands  # noqa: PLC0415 -- kafka loads when it is needed
    from deploy.history import banks  # noqa: PLC0415
    from ingest.command import CommandKind  # noqa: PLC0415

    loaded = load(settings, flags, bootstrap=bootstrap)
    banks.find_view(banks.view_states(loaded), view)
    _say(
        trainer_commands.send_command(
            loaded, trainer_commands.new_command(CommandKind.ROLLBACK, view, why=why, at=datetime.now(UTC))
        ),
        json,
    )


def facts_of(bank: "Bank", version: str, size_bytes: int, *, interval_ratio_limit: float) -> dict[str, object]:
    """What a person asks of a bank; a first bank whose threshold is less certain than the limit is provisional."""
    from softpatch.calibration.threshold import why_uncertain  # noqa: PLC0415 -- loads the libraries of vectors

    manifest, frames = bank.manifest, len(bank.calibration_scores)
    doubt = why_uncertain(manifest.threshold, frames=frames, interval_ratio_limit=interval_ratio_limit)
    return {
        "version": version,
        "view": manifest.view,
        "created_at": manifest.created_at,
        "frames": len(manifest.frame_names),
        "skipped_frames": manifest.skipped_frames,
        "patches": len(bank.vectors),
        "dimension": manifest.dimension,
        "graph": f"{manifest.graph_name} {manifest.graph_hash[:SHORT]}",
        "input": f"{manifest.geometry.width_px} x {manifest.geometry.height_px} px, {manifest.geometry.mode}",
        "threshold": manifest.threshold.value,
        "threshold_low": manifest.threshold.interval_low,
        "threshold_high": manifest.threshold.interval_high,
        "threshold_doubt": doubt,
        "threshold_rule": manifest.threshold.rule,
        "noise_estimate": manifest.noise_estimate,
        "parent": manifest.parent,
        "size_bytes": size_bytes,
    }


def _readable(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None else str(value)


def _from_store(settings: "Settings", start: str) -> bytes:
    from deploy.history import banks  # noqa: PLC0415
    from ingest.store import FsspecStore  # noqa: PLC0415

    if not start or not set(start) <= set("0123456789abcdef"):
        raise UsageError(f"{start} is neither a bank file nor the start of a version; patchline bank list shows them")
    store = FsspecStore.open(settings.store.url)
    return store.get(banks.find_bank(banks.stored_banks(store, {}, view=None), start).path)


def _say(event: "BankEvent", json: JsonFile) -> None:
    bank = f" bank [bold]{event.bank_version[:SHORT]}[/]" if event.bank_version else ""
    Console().print(f"[green]{event.kind.value.replace('_', ' ')}[/]{bank} for {event.view}, epoch {event.epoch}.")
    write_json(json, event.model_dump(mode="json", exclude_none=True))
