"""`patchline bank diff`: what two banks of a view see differently."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, load
from deploy.errors import CommandFailed, UsageError
from deploy.history import banks
from deploy.offline.compare_banks import BankComparison, JudgingBank, compared, heats
from deploy.offline.opened_bank import OpenedBank
from deploy.offline.score_files import pictures_among
from deploy.output.bank_facts import short_version
from deploy.output.picture_file import write_picture
from deploy.output.reports import write_json
from deploy.pictures.bank_comparison import render_comparison
from deploy.pictures.contact_sheet import SheetHeader
from deploy.settings import Settings
from ingest.bank_state import BankState
from ingest.store import FsspecStore, NotInStore, Store
from ingest.store_layout import frame_path
from trainer.window_store import WindowStore

FirstBank = Annotated[str, typer.Argument(metavar="A", help="A version in the store, or its start; or a role.")]
SecondBank = Annotated[str, typer.Argument(metavar="B", help="The same: active, previous, candidate, refused, pinned.")]
OfView = Annotated[
    str | None, typer.Option("--view", metavar="VIEW", help="Needed where A and B are roles of several views.")
]
Images = Annotated[
    Path | None, typer.Option("--images", metavar="DIR", help="Compare on these pictures, not on the view's window.")
]
Frames = Annotated[int, typer.Option("--frames", min=1, help="Frames compared at most, spread evenly.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", metavar="PNG", help="Draw what they see differently there.")]

SHOWN = 6
"""Frames on the picture: those decided otherwise, then those on which the banks are farthest apart."""
ROLES = ("active", "previous", "candidate", "shadow", "refused", "pinned")


def diff(
    *,
    first: FirstBank,
    second: SecondBank,
    view: OfView = None,
    images: Images = None,
    frames: Frames = 60,
    out: Out = None,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    json: JsonFile = None,
) -> None:
    """Show what two banks of a view see differently.

    Both score the frames of the view's window in the store, or a folder of pictures. A bank that the view's state names
    decides by the threshold in force, another one by the one it suggests.
    """
    loaded = load(settings, flags, bootstrap=bootstrap)
    store, states = FsspecStore.open(loaded.store.url), banks.view_states(loaded)
    chosen = [_stored(store, states, each, view=view) for each in (first, second)]
    if chosen[0].view != chosen[1].view:
        raise UsageError(f"{first} is of {chosen[0].view} and {second} of {chosen[1].view}: compare banks of one view")
    of = chosen[0].view
    judging = [_judging(loaded, store, each, states.get(of)) for each in chosen]
    found = compared(_frames(store, of, images, frames), judging)
    if not found.frames:
        raise CommandFailed(f"there is no frame to compare on: the store holds no window of {of}; give --images DIR")
    console = Console()
    console.print(_table(found, [short_version(each.version) for each in chosen]))
    for each in [each for each in found.frames if each.changed][:SHOWN]:
        console.print(f"{each.name}: {each.ratios[0]:.2f} and {each.ratios[1]:.2f} of the threshold", highlight=False)
    if out is not None:
        names = (f"A {short_version(chosen[0].version)}", f"B {short_version(chosen[1].version)}")
        _draw(found, judging, of, names, out)
        console.print(f"Picture: [bold]{out}[/]", soft_wrap=True, highlight=False)
    write_json(json, {"view": of, "banks": [each.version for each in chosen], **found.to_json()})


def _stored(store: Store, states: dict[str, BankState], name: str, *, view: str | None) -> banks.StoredBank:
    """A bank by its version, or by what it is to its view."""
    stored = banks.stored_banks(store, states, view=view)
    if name not in ROLES:
        return banks.find_bank(stored, name)
    fitting = [each for each in stored if name in each.role.split(", ")]
    if len({each.view for each in fitting}) > 1:
        raise UsageError(f"several views have a bank that is {name}: say which by --view")
    if not fitting:
        raise UsageError(f"no bank in the store is {name}; patchline bank list shows what there is")
    return fitting[0]


def _judging(loaded: Settings, store: Store, bank: banks.StoredBank, state: BankState | None) -> JudgingBank:
    opened = OpenedBank.of(store.get(bank.path), loaded)
    named = () if state is None else (state.active, state.previous, state.shadow, state.candidate)
    in_force = next((each.threshold for each in named if each and each.version == bank.version), None)
    return JudgingBank(opened, in_force or opened.bank.manifest.threshold.value)


def _frames(store: Store, view: str, images: Path | None, most: int) -> Iterator[tuple[str, bytes]]:
    if images is not None:
        files = pictures_among([images])
        for place in _spread(len(files), most):
            yield files[place].name, files[place].read_bytes()
        return
    index = WindowStore(store).load(view)
    kept = () if index is None else index.frames
    for place in _spread(len(kept), most):
        try:
            encoded = store.get(frame_path(view, kept[place].partition, kept[place].offset, kept[place].topic))
        except NotInStore:  # the trainer goes on meanwhile
            continue
        yield kept[place].frame_id, encoded


def _spread(frames: int, most: int) -> list[int]:
    return sorted({round(place) for place in np.linspace(0, frames - 1, min(most, frames)).tolist()})


def _table(found: BankComparison, names: list[str]) -> Table:
    table = Table("", *names)
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("frames", str(len(found.frames)), str(len(found.frames)))
    table.add_row("fail", *map(str, found.fails))
    table.add_row("pass by the other, fail by this", str(found.now_pass), str(found.now_fail))
    return table


def _draw(found: BankComparison, judging: list[JudgingBank], view: str, names: tuple[str, str], out: Path) -> None:
    shown = [(each, judging[0].opened.decoded(each.encoded), heats(each, judging)) for each in found.frames[:SHOWN]]
    changed = found.now_fail + found.now_pass
    header = SheetHeader(
        "What two banks see differently",
        f"{view}: {changed} of {len(found.frames)} frames are decided otherwise",
        [(f"{name} fails", str(fails)) for name, fails in zip(names, found.fails, strict=True)],
    )
    write_picture(out, render_comparison(header, names, shown))
