"""`patchline replay`: recorded frames decided again, as they were or by another bank."""

from typing import Annotated

import typer
from rich.console import Console

from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, ViewArgument, load
from deploy.errors import CommandFailed
from deploy.history.banks import find_bank, find_view, stored_banks, view_states
from deploy.history.replay import ReplayedFrame
from deploy.history.replay_source import OffsetSpan, opened_replay, recorded_span, span_of
from deploy.output.bank_facts import short_version
from deploy.output.reports import write_json
from ingest.decision import Decision
from ingest.store import FsspecStore

From = Annotated[str, typer.Option("--from", metavar="[TOPIC:]PARTITION:OFFSET", help="The first frame.")]
To = Annotated[str, typer.Option("--to", metavar="[TOPIC:]PARTITION:OFFSET", help="The last frame.")]
Bank = Annotated[
    str | None,
    typer.Option("--bank", metavar="VERSION", help="Decide by this bank, by the threshold it suggests: what if."),
]

SHOWN = 20
"""Frames with a difference that are printed; the JSON has all."""


def replay(
    *,
    view: ViewArgument,
    start: From,
    end: To,
    bank: Bank = None,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    json: JsonFile = None,
) -> None:
    """Decide recorded frames again, and report every difference.

    From the frames that Kafka still has, by the bank, the threshold and the settings of then. With --bank it is the
    what-if: which verdicts another bank would have changed.
    """
    loaded = load(settings, flags, bootstrap=bootstrap)
    span = span_of(start, end, topics=loaded.kafka.frame_topics)
    states = view_states(loaded)
    find_view(states, view)
    version = None
    if bank is not None:
        version = find_bank(stored_banks(FsspecStore.open(loaded.store.url), {}, view=view), bank).version
    recorded = recorded_span(loaded, view, span)
    with opened_replay(loaded, view, bank=version) as again:
        frames = list(again.frames(recorded.records, recorded.decisions, first=span.first.offset))
    differing = [each for each in frames if each.differences]
    lost = sorted(_decided(recorded.decisions, span) - {each.recorded.source.offset for each in frames})
    console = Console()
    for each in differing[:SHOWN]:
        console.print(_line(each, loaded.kafka.topic("frames")), highlight=False, soft_wrap=True)
    how = "by the banks of then" if version is None else f"by bank {short_version(version)}"
    console.print(
        f"{len(frames)} frames of {view} decided again {how}: {len(differing)} differ from what was recorded"
        + (f"; of {len(lost)} the frame is no longer kept." if lost else "."),
        highlight=False,
        soft_wrap=True,
    )
    write_json(
        json,
        {
            "view": view,
            "bank": version,
            "frames": len(frames),
            "differing": [_as_json(each) for each in differing],
            "expired_offsets": lost,
        },
    )
    if not frames:
        raise CommandFailed(f"no decision of {view} from {start} to {end} is recorded")
    if version is None and differing:
        raise CommandFailed(
            f"{len(differing)} of {len(frames)} decisions are not reproduced: was another release, machine or setting "
            "at work then?"
        )


def _decided(decisions: dict[int, Decision], span: OffsetSpan) -> set[int]:
    return {offset for offset in decisions if offset >= span.first.offset}


def _line(each: ReplayedFrame, first_topic: str) -> str:
    return f"{each.recorded.source.short(first_topic)}  " + "; ".join(map(str, each.differences))


def _as_json(each: ReplayedFrame) -> dict[str, object]:
    return {
        "source": each.recorded.source.model_dump(mode="json"),
        "frame_id": each.recorded.frame_id,
        "differences": {one.field: [_json_value(one.recorded), _json_value(one.again)] for one in each.differences},
        "score_ratios": [each.recorded.score_ratio, None if each.again is None else each.again.score_ratio],
    }


def _json_value(value: object) -> object:
    return value if value is None or isinstance(value, int | float | str | bool) else str(value)
