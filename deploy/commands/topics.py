"""`patchline topics`: the topics of the stream, made and looked at."""

from rich.console import Console
from rich.table import Table

from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, load
from deploy.errors import CommandFailed
from deploy.output.reports import write_json
from ingest.kafka.topics import TopicReport, create_topics, describe_topics


def create(
    *, settings: SettingsFile = None, flags: SetFlags = None, bootstrap: Bootstrap = None, json: JsonFile = None
) -> None:
    """Make the topics that are missing.

    Those that are there stay as they are.
    """
    _report(create_topics(load(settings, flags, bootstrap=bootstrap).kafka), json)


def show(
    *, settings: SettingsFile = None, flags: SetFlags = None, bootstrap: Bootstrap = None, json: JsonFile = None
) -> None:
    """Show each topic and where it differs from what Patchline needs.

    Exit code 1 where one is missing.
    """
    reports = describe_topics(load(settings, flags, bootstrap=bootstrap).kafka)
    _report(reports, json)
    if missing := [report.name for report in reports if report.state == "missing"]:
        raise CommandFailed(f"missing: {', '.join(missing)}; run patchline topics create")


def _report(reports: list[TopicReport], json: JsonFile) -> None:
    table = Table("topic", "state", "partitions", "differs in")
    colours = {"created": "green", "existing": "default", "differing": "yellow", "missing": "red"}
    for report in reports:
        wrong = "; ".join(f"{each.setting} is {each.found}, not {each.wanted}" for each in report.differences)
        table.add_row(report.name, f"[{colours[report.state]}]{report.state}[/]", str(report.partitions or ""), wrong)
    Console().print(table)
    write_json(json, {"topics": [_as_json(report) for report in reports]})


def _as_json(report: TopicReport) -> dict[str, object]:
    differences = [{"setting": each.setting, "wanted": each.wanted, "found": each.found} for each in report.differences]
    return {
        "name": report.name,
        "state": report.state,
        "partitions": report.partitions,
        "differences": differences,
    }
