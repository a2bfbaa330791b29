"""A console over a small history, and people who sign in to it."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher
from fastapi.testclient import TestClient

from ingest.bank_event import BankEvent, BankEventKind
from ingest.bank_state import BankInForce, BankState, ViewState
from ingest.decision import Verdict
from ingest.drift_event import DriftEvent, DriftEventKind
from ingest.kafka.settings import KafkaSettings
from ingest.store import FsspecStore
from ingest.store_layout import bank_path
from monitoring.console.accounts import Accounts, LoginTries
from monitoring.console.app import console_app
from monitoring.console.context import Console
from monitoring.console.live import LiveViews
from monitoring.console.pictures import ConsolePictures, KafkaPictures, RecentBanks
from monitoring.console.requests_to_trainer import TrainerMessages
from monitoring.console.settings import ConsoleSettings
from monitoring.record.database import Database
from monitoring.record.pictures import PictureKeeper
from monitoring.record.queries import RecordReader
from monitoring.record.rows import PassSample
from monitoring.record.schema import bank_events, drift_events
from monitoring.record.writing import RecordWriter
from monitoring.shifts import hours_from
from softpatch.bank import Bank, bank_to_bytes, bank_version
from softpatch.calibration.detection import PlantResult, detection_curve
from softpatch.images.regions import InspectedRegions
from tests.ingest.no_claims import NO_CLAIMS
from tests.monitoring.decisions import AT, VIEW
from tests.monitoring.record.lines import Frames, made
from tests.monitoring.watch.banks_in_store import calibrated_bank

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from httpx2 import Response

    from ingest.command import Command
    from ingest.contract import SourceRecord
    from ingest.feedback import Feedback
    from monitoring.console.roles import Role

PASSWORD = "correct horse battery"  # noqa: S105 -- of tests
NOW = AT + timedelta(minutes=3)
FAILS = (20, 30, 40)


class SentMessages(TrainerMessages):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__(KafkaSettings())
        self.sent: list[Command | Feedback] = []

    def send(self, message: Command | Feedback) -> None:
        """Keep it."""
        self.sent.append(message)


class NoKafka(KafkaPictures):
    """Has no frame any more."""

    def __init__(self) -> None:
        super().__init__(KafkaSettings(), NO_CLAIMS)

    def encoded(self, source: SourceRecord, view: str) -> bytes | None:
        """None of them."""
        del source, view
        return None


@dataclass
class Line:
    """A history, and the console over it."""

    console: Console
    writer: RecordWriter
    messages: SentMessages
    version: str

    def client(self) -> TestClient:
        """A browser that nobody signed in with."""
        return TestClient(console_app(self.console), base_url="http://localhost", follow_redirects=False)

    def signed_in(self, role: Role) -> TestClient:
        """A browser of somebody with a role."""
        self.console.accounts.add(role.value, role, PASSWORD, at=NOW)
        client = self.client()
        answer = client.post(
            "/sign-in", data={"csrf": csrf_of(client.get("/sign-in")), "name": role.value, "password": PASSWORD}
        )
        assert answer.status_code == 303, answer.text
        return client


def csrf_of(page: Response) -> str:
    """The token in a page's forms."""
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


@pytest.fixture
def settings() -> ConsoleSettings:
    """By the clock of a plant; a test may ask for others."""
    return ConsoleSettings(time_zone="Europe/Berlin")


@dataclass(frozen=True)
class RecordedLine:
    """What was recorded of a line: a database, the pictures, and the version of its bank."""

    folder: Path
    version: str


REGIONS = InspectedRegions(ignore=(((0, 0), (30, 0), (30, 20), (0, 20)),), frame_wh=(90, 60))
"""The upper left third of a frame."""


def seeing_bank() -> Bank:
    """A bank with regions, which finds every planted defect from 20 px on."""
    bank = calibrated_bank(0)
    curve = detection_curve([PlantResult("stain", 4.0 + n, n >= 16) for n in range(40)], seed=0)
    geometry = bank.manifest.geometry.model_copy(update={"regions": REGIONS})
    return replace(bank, manifest=bank.manifest.model_copy(update={"detection": curve, "geometry": geometry}))


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> RecordedLine:
    """Two minutes of a view with three rejects, a bank, an episode of drift; another view that is learning."""
    folder = tmp_path_factory.mktemp("recorded")
    store = FsspecStore.open(str(folder / "store"))
    bank = bank_to_bytes(seeing_bank())
    version = bank_version(bank)
    store.put(bank_path(VIEW, version), bank)
    with Database.open(f"sqlite:///{folder}/record.sqlite") as database:
        _fill(RecordWriter(database, PassSample(0)), version)
        keeper = PictureKeeper(database, store, Frames(), claims=NO_CLAIMS, topics=["frames"], longer_px=32)
        while keeper.keep():
            pass
    return RecordedLine(folder, version)


@pytest.fixture
def line(recorded: RecordedLine, tmp_path: Path, settings: ConsoleSettings) -> Iterator[Line]:
    """The console over a copy of what was recorded, which a test may change."""
    # Links do: the store replaces whole files, but for `append`, which is not used here. The database writes in place.
    shutil.copytree(recorded.folder / "store", tmp_path / "store", copy_function=os.link)
    for each in recorded.folder.glob("record.sqlite*"):
        shutil.copy(each, tmp_path)
    store = FsspecStore.open(str(tmp_path / "store"))
    with Database.open(f"sqlite:///{tmp_path}/record.sqlite") as database:
        reader, banks, messages = RecordReader(database), RecentBanks(store), SentMessages()
        console = Console(
            settings=settings,
            reader=reader,
            accounts=Accounts(database, PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)),
            tries=LoginTries(),
            store=store,
            banks=banks,
            pictures=ConsolePictures(store, banks, NoKafka()),
            messages=messages,
            live=LiveViews(reader, Event()),
            shift_hours=hours_from(settings.shifts),
            clock=lambda: NOW,
        )
        yield Line(console, RecordWriter(database, PassSample(0)), messages, recorded.version)


def _fill(writer: RecordWriter, version: str) -> None:
    batch = [made(n, Verdict.FAIL if n in FAILS else Verdict.PASS, serial=f"SN-{n // 2}") for n in range(120)]
    named = [
        each.model_copy(update={"bank": each.bank and each.bank.model_copy(update={"version": version})})
        for each in batch
    ]
    writer.decisions([*named, *(made(n, Verdict.UNDECIDED, view="line-2/side") for n in range(5))])
    in_force = BankInForce(version=version, uri="x", graph_hash="b2" * 32, threshold=2.0)
    state = BankState(
        view=VIEW, epoch=1, state=ViewState.ACTIVE, active=in_force, previous=in_force, by="trainer", why="first", at=AT
    )
    writer.bank_state(state)
    event = BankEvent(
        view=VIEW, kind=BankEventKind.PROMOTED, epoch=1, bank_version=version, command_id="c-1", who="ana",
        why="checked", at=AT + timedelta(seconds=10), facts={"threshold": 2.0},
    )  # fmt: skip
    writer.messages(bank_events, [(0, event)])
    drift = DriftEvent(
        view=VIEW, kind=DriftEventKind.NOTICED, verdict="camera got darker", why="unlike", decision_id=batch[50].id,
        frames=9, at=batch[50].decided_at,
    )  # fmt: skip
    writer.messages(drift_events, [(0, drift)])


def moment(text: str) -> datetime:
    """A moment as RFC 3339."""
    return datetime.fromisoformat(text)
