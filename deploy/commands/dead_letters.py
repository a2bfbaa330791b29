"""`patchline dead-letters`: what could not be decided, why, from where; and send it again."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, ViewOption, load
from deploy.errors import CommandFailed, UsageError
from deploy.history import dead_letters
from deploy.history.dead_letters import LetterFilter, Replayed, StoredLetter, letter_facts, reason_from
from deploy.history.moments import moment_from
from deploy.output.reports import write_json

ReasonName = Annotated[
    str | None, typer.Option("--reason", metavar="REASON", help="Only letters with this reason: truncated, no_key, ...")
]
Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Only letters since 30m, 2h, 7d ago, or an RFC 3339 time.")
]
Letter = Annotated[str, typer.Argument(metavar="LETTER", help="partition:offset, as `list` shows it.")]
Letters = Annotated[
    list[str] | None, typer.Argument(metavar="LETTER...", help="partition:offset, as `list` shows them.")
]


def list_letters(
    *,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    view: ViewOption = None,
    reason: ReasonName = None,
    since: Since = None,
    json: JsonFile = None,
) -> None:
    """List the dead letters: what, why, from where."""
    kafka = load(settings, flags, bootstrap=bootstrap).kafka
    found = [letter_facts(kept) for kept in dead_letters.find(kafka, _filter(view, reason, since))]
    found.sort(key=lambda facts: str(facts["at"]))
    table = Table("letter", "at", "view", "reason", "bytes", "from", "detail")
    for facts in found:
        names = ("letter", "at", "view", "reason", "size_bytes", "source", "detail")
        table.add_row(*(_readable(facts[name]) for name in names))
    Console().print(table if found else "No dead letters.")
    write_json(json, {"dead_letters": found})


def show(
    *,
    letter: Letter,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the bytes there.")] = None,
    json: JsonFile = None,
) -> None:
    """Show one dead letter, and get its bytes back."""
    kafka = load(settings, flags, bootstrap=bootstrap).kafka
    kept = dead_letters.find_letter(kafka, dead_letters.place_from(letter, kafka))
    facts = letter_facts(kept) | _as_sent(kept)
    table = Table.grid(padding=(0, 3))
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(f"[bold]{name.replace('_', ' ')}[/]", _readable(value))
    Console().print(table)
    if out is not None:
        out.write_bytes(dead_letters.content_of(kafka, kept.letter))
        Console().print(f"Wrote {kept.letter.size_bytes} bytes to {out}.")
    write_json(json, facts)


def replay(
    *,
    letters: Letters = None,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    view: ViewOption = None,
    reason: ReasonName = None,
    since: Since = None,
    every: Annotated[bool, typer.Option("--all", help="All there are, where nothing narrows.")] = False,
    json: JsonFile = None,
) -> None:
    """Send the frames of dead letters again.

    To the same partition, with their own headers and one that names the letter.
    A running inspection decides them; each decision names its letter in replay_of. What is as bad as it was
    becomes a dead letter again. Exit code 1 where a frame could not be sent.
    """
    kafka, filtered = load(settings, flags, bootstrap=bootstrap).kafka, _filter(view, reason, since)
    if not (letters or filtered.narrows or every):
        raise UsageError("name letters, narrow with --view, --reason or --since, or give --all")
    done = []
    for each in dead_letters.replay(kafka, dead_letters.chosen(kafka, letters or [], filtered)):
        Console().print(_sent_line(each))
        done.append(each)
    write_json(json, {"replayed": [_as_json(each) for each in done]})
    if failed := sum(each.frame is None for each in done):
        raise CommandFailed(f"{failed} of {len(done)} frames could not be sent again")
    Console().print(f"Sent {len(done)} frames again.")


def _filter(view: str | None, reason: str | None, since: str | None) -> LetterFilter:
    return LetterFilter(
        view,
        None if reason is None else reason_from(reason),
        None if since is None else moment_from(since, now=datetime.now(UTC)),
    )


def _as_sent(kept: StoredLetter) -> dict[str, object]:
    letter = kept.letter
    return {
        "key": None if letter.key is None else letter.key.decode("utf-8", "backslashreplace"),
        "headers": {name: content.decode("utf-8", "backslashreplace") for name, content in letter.headers},
    }


def _sent_line(each: Replayed) -> str:
    if each.frame is None:
        return f"[red]not sent[/] {each.kept.name}: {escape(each.why_not or '')}"
    return f"[green]sent[/] {each.kept.name} again as {each.frame}"


def _as_json(each: Replayed) -> dict[str, object]:
    frame = None if each.frame is None else str(each.frame)
    return {"letter": each.kept.name, "frame": frame, "why_not": each.why_not}


def _readable(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name}: {escape(str(content))}" for name, content in value.items()) or "none"
    return "none" if value is None else escape(str(value))
