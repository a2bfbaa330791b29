"""A fortnight in minutes: 14 simulated days through trainer and inspection on a real Kafka, with ground truth.

    python -m tests.bench.fortnight KAFKA_HOME ROWS.jsonl [--seeds 0,1,2,3,4] [--frames 120] [--gate on,off] [--days 14]

One run after another, one JSON line a day; runs that the file has whole are passed over, so that it goes on where it
stopped. Frames carry the line's own times. An operator looks once a day: says of the variant that it is good (one
word), releases a held view, pins the bank in force where a bank was refused for its distance to the reference and the
frames that show it are good parts in another light, and makes three mistakes that are undone: the tool's mark called
good, one marked part called a false reject, one good part called an escape.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.history.banks import view_states
from deploy.settings import Settings, read_settings
from deploy.trainer_commands import TrainerRequest, new_command, new_feedback
from ingest.annotation import Label
from ingest.bank_event import BankEvent, BankEventKind
from ingest.bank_state import BankState, ViewState
from ingest.cameras.fortnight import DAYS, IDLE_DAYS, Fortnight
from ingest.command import CommandKind
from ingest.decision import Decision, Verdict
from ingest.feedback import FeedbackKind
from ingest.kafka.readers import WholeTopicReader
from tests.bench.what_repeats import known_rows
from tests.brokers import KafkaBroker
from tests.e2e.services import Answers, Services, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ingest.cameras.fortnight import LineFrame, Truth
    from tests.e2e.services import Service

VIEW = "line-1/ring"
CHUNK = 30
"""Frames of the first day, on which banks are built between frames; later on a day comes at once."""
INPUT_PX = 128
PATIENCE_SECONDS = 1800.0
"""For a build, or an answer: a run of an hour beside other work must not end for one that took long."""
QUIET_SECONDS = 1.5
"""A trainer that has read all frames and starts no build for so long has none to start."""
KEPT_BANKS = 4
"""As many as the first three days build, so that what grows from then on grows without bound."""
ASKING = (BankEventKind.GROUP_FOUND, BankEventKind.HELD, BankEventKind.REFUSED)
"""Events that a person has to look at: one question each."""
FALSE_REJECT_RATIO = 0.02


def view_settings(*, frames: int, gate: bool) -> dict[str, Any]:
    """A window of one to two days, built anew every night; small pictures."""
    return {
        "first_build_frames": 30,
        "window_frames": frames,
        "window_span_frames": 2 * frames,
        "rebuild_every_frames": 1_000_000,
        "rebuild_at": "0 3 * * *",
        "deadline_seconds": 1e9,
        "false_reject_ratio": FALSE_REJECT_RATIO,
        "gate": {"enabled": gate},
        "build": {
            "geometry": {"mode": "squash", "height_px": INPUT_PX, "width_px": INPUT_PX},
            "features": "fine",
            "coreset_cap": 800,
            "detection_plants": 0,
        },
    }


@dataclass
class Day:
    """What happened on one day, counted from decisions and events."""

    day: int
    frames: Counter[Truth] = field(default_factory=Counter)
    failed: Counter[Truth] = field(default_factory=Counter)
    undecided: Counter[Truth] = field(default_factory=Counter)


@dataclass
class Plant:
    """Broker, services and camera of one run, and the operator who looks once a day."""

    services: Services
    train: Service
    inspect: Service
    answers: Answers
    events: WholeTopicReader
    producer: Producer
    settings: Settings
    truths: dict[str, tuple[Truth, int]] = field(default_factory=dict)
    happened: list[BankEvent] = field(default_factory=list)
    mistakes: set[str] = field(default_factory=set)
    looked_at: int = 0
    """Events that the operator has seen."""

    def send(self, frames: Iterable[LineFrame]) -> None:
        """Frames with the line's own times."""
        topic = self.settings.kafka.topic("frames")
        for each in frames:
            name = f"d{each.day}-{len(self.truths)}"
            self.truths[name] = (each.truth, each.day)
            self.producer.produce(
                topic,
                key=VIEW.encode(),
                value=each.encoded,
                timestamp=int(each.at.timestamp() * 1000),
                headers=[("frame-id", name.encode())],
            )
        self.producer.flush(60)

    def settle(self) -> None:
        """Until every frame is decided and taken by the trainer, and no build is under way or about to start."""
        wait_for = partial(wait_until, patience_seconds=PATIENCE_SECONDS)
        wait_for(lambda: self.answers.read() >= len(self.truths), "every frame being decided")
        wait_for(lambda: self._taken() >= len(self.truths), "the trainer having every frame")
        quiet_since = time.monotonic()

        def quiet() -> bool:
            nonlocal quiet_since
            if self._builds_under_way():
                quiet_since = time.monotonic()
            return time.monotonic() - quiet_since > QUIET_SECONDS

        wait_for(quiet, "the last build")
        self.happened += [BankEvent.from_bytes(each.value or b"") for each in self.events.poll(0.5)]

    def _taken(self) -> float:
        names = ("patchline_trainer_frames_collected_total", "patchline_trainer_frames_skipped_total")
        return sum(self.services.metric(self.train, name) for name in names)

    def _builds_under_way(self) -> bool:
        log = self.train.logged
        ended = log.count("build_stopped") + log.count("kind=built") + log.count("kind=build_failed")
        stopped_events = log.count("stopped=True")  # a stopped build has an event, too
        return log.count("build_started") > ended - stopped_events

    def state(self) -> BankState:
        """The view's bank state."""
        return view_states(self.settings)[VIEW]

    def operator(self, day: int) -> None:
        """Look at what waits, once a day; make and undo mistakes."""
        state = self.state()
        if state.state is ViewState.HELD:
            self._command(CommandKind.RELEASE, "the line is as it was")
        if any(self._far_from_reference(each) for each in self.happened[self.looked_at :]):
            self._command(CommandKind.PIN, "good parts, the lamp is not what it was")
        self.looked_at = len(self.happened)
        for group in state.open_groups:
            truth = Counter(self._truth(each.frame_id) for each in group.exemplars).most_common(1)
            shown = truth[0][0] if truth else None
            if shown == "variant":
                self._say(FeedbackKind.GROUP_GOOD, "the blackened ring is a variant", annotation=group.id)
            elif shown == "repeating" and "group" not in self.mistakes:
                self.mistakes.add("group")
                self._say(FeedbackKind.GROUP_GOOD, "a mistake", annotation=group.id)
                self._say(FeedbackKind.UNDO, "it is a tool mark", annotation=group.id)
        if day >= 8 and "reject" not in self.mistakes:
            self._mistaken_word("reject", FeedbackKind.FALSE_REJECT, "repeating", Verdict.FAIL, day)
        if day >= 13 and "escape" not in self.mistakes:
            self._mistaken_word("escape", FeedbackKind.ESCAPED_DEFECT, "good", Verdict.PASS, day)
        for group in self.state().annotations:  # what the mistakes named is open again: never a yes
            assert group.label is not Label.GOOD or self._is_variant(group.exemplars), group.id

    def _far_from_reference(self, event: BankEvent) -> bool:
        """Whether a bank was refused for its distance to the reference, and shows good parts for it."""
        if event.kind is not BankEventKind.REFUSED or "anchored_drift" not in str(event.facts.get("bounds", "")):
            return False
        shown = [self._truth(name) for name in str(event.facts.get("examples", "")).split()]
        return 2 * sum(truth in ("good", "variant") for truth in shown) > len(shown)

    def _is_variant(self, exemplars: Iterable[Any]) -> bool:
        return any(self._truth(each.frame_id) == "variant" for each in exemplars)

    def _truth(self, frame_id: str) -> Truth | None:
        return self.truths[frame_id][0] if frame_id in self.truths else None

    def _mistaken_word(self, name: str, kind: FeedbackKind, truth: Truth, verdict: Verdict, day: int) -> None:
        for decision in self.answers.decisions:
            if self.truths[decision.frame_id] == (truth, day) and decision.verdict is verdict:
                self.mistakes.add(name)
                word = self._say(kind, "a mistake", source=decision.source)
                self._say(FeedbackKind.UNDO, "looked again", annotation=word)
                return

    def _say(self, kind: FeedbackKind, why: str, **about: Any) -> str:  # noqa: ANN401 -- as new_feedback takes them
        feedback = new_feedback(kind, VIEW, why=why, at=datetime.now(UTC), **about)
        with TrainerRequest.sent(self.settings, feedback) as request:
            request.answer(PATIENCE_SECONDS, what=kind.value)
        self.settle()
        return feedback.id

    def _command(self, kind: CommandKind, why: str) -> None:
        command = new_command(kind, VIEW, why=why, at=datetime.now(UTC))
        with TrainerRequest.sent(self.settings, command) as request:
            request.answer(PATIENCE_SECONDS, what=kind.value)
        self.settle()

    def counted(self, day: int, *, seed: int, gate: bool) -> dict[str, Any]:
        """The row of a day."""
        found = Day(day)
        for decision in self.answers.decisions:
            truth, of = self.truths[decision.frame_id]
            if of == day:
                _count(found, truth, decision)
        kinds = Counter(event.kind for event in self.happened)
        return {
            "seed": seed,
            "gate": gate,
            "day": day,
            "frames": dict(found.frames),
            "failed": dict(found.failed),
            "undecided": dict(found.undecided),
            "events": {kind.value: count for kind, count in kinds.items()},
            "questions": sum(kinds[kind] for kind in ASKING),
            "refused_for": [
                str(each.facts.get("bounds", "")) for each in self.happened if each.kind is BankEventKind.REFUSED
            ],
            "state": self.state().state.value,
            "store_bytes": _size(Path(self.services.store)),
            "store": {each.name: _size(each) for each in sorted(Path(self.services.store).iterdir())},
            "banks": len(list(Path(self.services.store).glob("banks/**/*.safetensors"))),
            "rss_bytes": {each.name: _resident(each.process.pid) for each in (self.train, self.inspect)},
        }


def _count(day: Day, truth: Truth, decision: Decision) -> None:
    day.frames[truth] += 1
    day.failed[truth] += decision.verdict is Verdict.FAIL
    day.undecided[truth] += decision.verdict is Verdict.UNDECIDED


def run(broker: KafkaBroker, folder: Path, *, seed: int, gate: bool, frames: int, days: int) -> list[dict[str, Any]]:
    """One fortnight; a row a day."""
    kafka = broker.settings(partitions=1)
    line_times = {"message.timestamp.type": "CreateTime", "retention.ms": "-1", "max.message.bytes": "10485760"}
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    for made in admin.create_topics([NewTopic(kafka.topic("frames"), 1, 1, config=line_times)]).values():
        made.result(60)
    over = {
        "views": {"*": view_settings(frames=frames, gate=gate)},
        "inference": {"metrics_port": 0, "clock_skew_seconds": 1e9},
        "trainer": {
            "metrics_port": 0,
            "flush_seconds": 0.5,
            "build_niceness": 0,
            "build_timeout_seconds": PATIENCE_SECONDS,
            "keep_banks": KEPT_BANKS,
        },
    }
    rows = []
    with Services(folder, kafka, over) as services:
        over["inference"]["metrics_port"] = services.inspect_port
        over["trainer"]["metrics_port"] = services.train_port
        services.run("topics", "create")
        settings = read_settings(services.settings_file(), {})
        train, inspect = services.start("train"), services.start("inspect")
        for each in (train, inspect):
            services.until_ready(each)
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "acks": "all"})
        events = WholeTopicReader.open(kafka, topics=[kafka.topic("bank-events")], give_up_seconds=30)
        with Answers(kafka) as answers, events:
            plant = Plant(services, train, inspect, answers, events, producer, settings)
            line = Fortnight(seed, frames_per_day=frames)
            for day in range(1, days + 1):
                begun = time.monotonic()
                _day(plant, list(line.day(day)))
                if day not in IDLE_DAYS:
                    plant.operator(day)
                row = plant.counted(day, seed=seed, gate=gate)
                rows.append({**row, "seconds": round(time.monotonic() - begun, 1)})
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)  # noqa: T201 -- how far it is
    return rows


def _day(plant: Plant, frames: list[LineFrame]) -> None:
    """The first frame lets the night's build begin: a build of minutes is short beside a day, not beside its frames."""
    if frames and frames[0].day > 1:
        plant.send(frames[:1])
        plant.settle()
        frames = frames[1:]
    chunk = CHUNK if frames and frames[0].day == 1 else len(frames)
    for start in range(0, len(frames), chunk or 1):
        plant.send(frames[start : start + chunk])
        plant.settle()


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _resident(pid: int) -> int:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return int(status["VmRSS"].split()[0]) * 1024


def main() -> None:
    """Every run that the file lacks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kafka_home", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--gate", default="on,off")
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--days", type=int, default=DAYS)
    asked = parser.parse_args()
    done = {(row["seed"], row["gate"]) for row in known_rows(asked.rows)}
    with tempfile.TemporaryDirectory(prefix="fortnight-") as place:
        broker = KafkaBroker(asked.kafka_home, Path(place)).start()
        try:
            for seed in map(int, asked.seeds.split(",")):
                for gate in (each == "on" for each in asked.gate.split(",")):
                    if (seed, gate) in done:
                        continue
                    folder = Path(place) / f"run-{seed}-{gate}"
                    folder.mkdir()
                    rows = run(broker, folder, seed=seed, gate=gate, frames=asked.frames, days=asked.days)
                    with asked.rows.open("a") as out:
                        out.writelines(json.dumps(row) + "\n" for row in rows)
                    kept = os.environ.get("FORTNIGHT_LOGS")
                    if kept:
                        (Path(kept) / f"train-{seed}-{gate}.log").write_text((folder / "train.log").read_text())
        finally:
            broker.stop()


if __name__ == "__main__":
    main()
