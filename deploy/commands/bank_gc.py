"""`patchline bank gc`: bank files that nobody needs any more."""

from collections import Counter, defaultdict
from contextlib import suppress
from typing import Annotated

import typer
from rich.console import Console

from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, ViewOption, load
from deploy.history import banks
from deploy.output.bank_facts import short_version
from deploy.output.reports import write_json
from ingest.store import FsspecStore, NotInStore
from trainer.bank_store import beyond_kept, delete_bank

Keep = Annotated[
    int | None,
    typer.Option("--keep", min=0, help="Banks kept of each view, those in use among them. [dim]trainer.keep_banks[/]"),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")]


def gc(
    *,
    view: ViewOption = None,
    keep: Keep = None,
    dry_run: DryRun = False,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    json: JsonFile = None,
) -> None:
    """Delete bank files that no view needs any more.

    What a view's state names (in force, before it, in shadow, refused last, pinned) and the newest others stay. The
    trainer does the same after each build; this also finds views that no trainer knows.
    """
    loaded = load(settings, flags, bootstrap=bootstrap)
    store, states = FsspecStore.open(loaded.store.url), banks.view_states(loaded)
    most = loaded.trainer.keep_banks if keep is None else keep
    summaries = [banks.bank_summary(store, each) for each in banks.stored_banks(store, states, view=view)]
    unused: dict[str, list[banks.StoredBank]] = defaultdict(list)
    used = Counter(each.bank.view for each in summaries if each.bank.role)
    for each in banks.newest_first(summaries):
        if not each.bank.role:
            unused[each.bank.view].append(each.bank)
    gone = [bank for name, some in unused.items() for bank in beyond_kept(some, used=used[name], keep=most)]
    for bank in gone:
        if not dry_run:
            with suppress(NotInStore):
                delete_bank(store, bank.path)
        Console().print(
            f"{'would delete' if dry_run else 'deleted'} {short_version(bank.version)} of {bank.view}", highlight=False
        )
    if not gone:
        Console().print("Every bank in the store is in use, or one of the newest.")
    write_json(json, {"deleted": [] if dry_run else [each.path for each in gone], "unused": [e.path for e in gone]})
