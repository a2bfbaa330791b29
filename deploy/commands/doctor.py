"""`patchline doctor`: whether everything a line needs is there, and what to do where it is not."""

from rich.console import Console

from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, load
from deploy.errors import CommandFailed
from deploy.health_checks import Finding, findings, runs_on
from deploy.output.compiled_engines import CompiledEngines
from deploy.output.reports import write_json
from deploy.wiring import embedder_of

COLOURS = {"well": "green", "warning": "yellow", "wrong": "red"}


def doctor(
    *, settings: SettingsFile = None, flags: SetFlags = None, bootstrap: Bootstrap = None, json: JsonFile = None
) -> None:
    """Check broker, topics, rights, store, disks, network, ports and clock, and say what to do.

    Nothing is changed. Exit code 1 where something is wrong.
    """
    loaded = load(settings, flags, bootstrap=bootstrap)
    found: list[Finding] = []
    console = Console()
    compiled = CompiledEngines(console)
    for each in findings(loaded, lambda: runs_on(embedder_of(loaded.runtime, compiling=compiled.compiling))):
        found.append(each)
        console.print(f"[{COLOURS[each.verdict]}]{each.verdict:8}[/]{each.check}: ", end="", highlight=False)
        console.print(each.sentence, highlight=False, markup=False, soft_wrap=True)
    write_json(json, {"findings": [each.__dict__ for each in found]})
    if wrong := sum(each.verdict == "wrong" for each in found):
        raise CommandFailed(f"{wrong} of {len(found)} checks found something wrong; the lines above say what to do")
