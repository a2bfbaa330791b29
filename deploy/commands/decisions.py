"""`patchline decisions`: what was decided on a view's frames."""

from collections.abc import Sequence
from datetime import UTC, datetime
from heapq import nlargest
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, ViewArgument, load
from deploy.errors import UsageError
from deploy.history.decision_reader import decisions_of
from deploy.history.moments import moment_from
from deploy.output.bank_facts import short_version
from deploy.output.reports import STANDARD_OUTPUT, write_json
from ingest.decision import Decision, Reason, Verdict
from ingest.kafka.records import Partition

VerdictName = Annotated[str | None, typer.Option("--verdict", metavar="VERDICT", help="Only pass, fail or undecided.")]
ReasonName = Annotated[str | None, typer.Option("--reason", metavar="REASON", help="Only undecided for this reason.")]
Since = Annotated[str, typer.Option("--since", metavar="TIME", help="Since 30m, 8h, 7d ago, or an RFC 3339 time.")]
Last = Annotated[int, typer.Option("--last", min=1, help="The latest so many.")]

COLOURS = {"fail": "red", "pass": "green", "undecided": "yellow"}


def decisions(
    *,
    view: ViewArgument,
    verdict: VerdictName = None,
    reason: ReasonName = None,
    since: Since = "24h",
    last: Last = 20,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    json: JsonFile = None,
) -> None:
    """Show the latest recorded decisions of a view.

    --json FILE has them whole, --json - prints them alone.
    """
    _check("--verdict", verdict, [each.value for each in Verdict])
    _check("--reason", reason, [each.value for each in Reason])
    kafka = load(settings, flags, bootstrap=bootstrap).kafka
    asked = (
        each
        for each in decisions_of(kafka, view, since=moment_from(since, now=datetime.now(UTC)))
        if verdict in (None, each.verdict.value) and reason in (None, each.reason and each.reason.value)
    )
    # By time: a view that lies in two partitions is read one partition after the other.
    found = sorted(nlargest(last, asked, key=_when), key=_when)
    write_json(json, {"decisions": [each.model_dump(mode="json", exclude_none=True) for each in found]})
    if json == STANDARD_OUTPUT:
        return
    Console().print(
        _table(found, kafka.topic("frames"))
        if found
        else f"No such decision of {view}; give a longer --since, or look at /readyz."
    )


def _check(option: str, word: str | None, known: list[str]) -> None:
    if word is not None and word not in known:
        raise UsageError(f"{option} {word} is none of {', '.join(known)}")


def _when(decision: Decision) -> tuple[datetime, Partition, int]:
    """When its frame came; of frames of one moment, by their place."""
    return decision.appended_at, decision.source.topic_partition, decision.source.offset


def _table(found: Sequence[Decision], first_topic: str) -> Table:
    table = Table("decided", "verdict", "ratio", "why", "bank", "frame", "record")
    table.columns[2].justify = "right"
    for each in found:
        colour = COLOURS[each.verdict.value]
        table.add_row(
            f"{each.decided_at.astimezone():%d %b %H:%M:%S}",
            f"[{colour}]{each.verdict.value}[/]" + (" (provisional)" if each.provisional else ""),
            "" if each.score_ratio is None else f"{each.score_ratio:.2f}",
            _why(each),
            short_version(each.bank.version) if each.bank else "",
            each.file_name or each.frame_id,
            each.source.short(first_topic),
        )
    return table


def _why(each: Decision) -> str:
    reason = each.reason.value if each.reason else ""
    return f"{reason} ({each.input_fault.value})".strip() if each.input_fault else reason
