"""`patchline topics`: the topics of the stream, made and looked at."""

from rich.console import Console
from rich.table import Table

from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, load
from deploy.errors import CommandFailed
from deploy.health_checks import shortest_deadline
from deploy.output.reports import write_json
from ingest.kafka.topics import TopicReport, create_topics, describe_topics


def create(
    *, settings: SettingsFile = None, flags: SetFlags = None, bootstrap: Bootstrap = None, json: JsonFile = None
) -> None:
    """Make the topics that are missing.

    Those that are there stay as they are.
    """
    kafka = load(settings, flags, bootstrap=bootstrap).kafka
    _report(create_topics(kafka, give_up_seconds=kafka.give_up_seconds), json)


def show(
    *, settings: SettingsFile = None, flags: SetFlags = None, bootstrap: Bootstrap = None, json: JsonFile = None
) -> None:
    """Show each topic and where it differs from what Patchline needs.

    Below the table: which of these settings hurt, how, and what to set. Exit code 1 where a topic is missing.
    """
    loaded = load(settings, flags, bootstrap=bootstrap)
    reports = describe_topics(
        loaded.kafka, give_up_seconds=loaded.kafka.give_up_seconds, deadline_seconds=shortest_deadline(loaded)
    )
    _report(reports, json)
    if missing := [report.name for report in reports if report.state == "missing"]:
        raise CommandFailed(f"missing: {', '.join(missing)}; run patchline topics create")


def _report(reports: list[TopicReport], json: JsonFile) -> None:
    table = Table("topic", "state", "partitions", "differs in")
    colours = {"created": "green", "existing": "default", "differing": "yellow", "missing": "red"}
    for report in reports:
        wrong = "; ".join(f"{each.setting} is {each.found}, not {each.wanted}" for each in report.differences)
        table.add_row(report.name, f"[{colours[report.state]}]{report.state}[/]", str(report.partitions or ""), wrong)
    console = Console()
    console.print(table)
    for report in reports:
        for harm in report.harms:
            console.print(f"{report.name}: {harm}", highlight=False, markup=False, soft_wrap=True)
    write_json(json, {"topics": [_as_json(report) for report in reports]})


def _as_json(report: TopicReport) -> dict[str, object]:
    differences = [{"setting": each.setting, "wanted": each.wanted, "found": each.found} for each in report.differences]
    return {
        "name": report.name,
        "state": report.state,
        "partitions": report.partitions,
        "differences": differences,
        "harms": list(report.harms),
    }
