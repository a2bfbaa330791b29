"""What `patchline doctor` looks at, each check by itself: whether it is well, and what to do where it is not."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from deploy.local_stack.embedded_broker import EmbeddedBrokerError, require_free
from ingest.kafka.connecting import unreachable_because
from ingest.kafka.errors import KafkaFailure
from ingest.kafka.readers import WholeTopicReader
from ingest.kafka.rights import transactions_refused_because
from ingest.kafka.topics import TOPICS, describe_topics, names_of
from ingest.store import FsspecStore, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from deploy.settings import Settings
    from softpatch.network.embed import OnnxEmbedder

ANSWER_SECONDS = 10.0
LITTLE_BYTES = 2 * 2**30
"""Of free disk: a window of one view takes half a gigabyte at most."""
PAGE_SECONDS = 2.0
SKEW_SECONDS = 1.0


@dataclass(frozen=True)
class Finding:
    """What one check found; `sentence` says what to do where it is not well."""

    check: str
    verdict: Literal["well", "warning", "wrong"]
    sentence: str


def findings(settings: Settings, provider: Callable[[], str]) -> Iterator[Finding]:
    """Every check in turn; those that need a broker are left out where none answers. `provider` opens the network."""
    broker = broker_answers(settings)
    yield broker
    if broker.verdict == "well":
        yield from topics_are_well(settings)
        yield may_read(settings)
        yield may_write(settings)
    yield store_works(settings)
    yield from disks_have_room(settings)
    yield network_runs(provider)
    yield from ports_are_ours(settings)
    yield clock_is_right(settings)


def shortest_deadline(settings: Settings) -> float:
    """In which a frame of a view without settings of its own is decided."""
    return settings.inspection_of("line/camera").deadline_seconds


def broker_answers(settings: Settings) -> Finding:
    """Whether a connection is accepted."""
    servers, reason = settings.kafka.bootstrap_servers, unreachable_because(settings.kafka)
    if reason is None:
        return Finding("broker", "well", f"{servers} accepts connections")
    return Finding(
        "broker", "wrong", f"none answers at {servers} ({reason}); start one, or set kafka.bootstrap_servers"
    )


def topics_are_well(settings: Settings) -> Iterator[Finding]:
    """Whether all are there, and what of their settings hurts."""
    try:
        reports = describe_topics(settings.kafka, deadline_seconds=shortest_deadline(settings))
    except KafkaFailure as error:
        yield Finding("topics", "wrong", f"they cannot be looked at: {error}")
        return
    missing = [each.name for each in reports if each.state == "missing"]
    if missing:
        yield Finding("topics", "wrong", f"missing: {', '.join(missing)}; run patchline topics create")
    for each in reports:
        for harm in each.harms:
            yield Finding("topics", "warning", f"{each.name}: {harm}")
    if not missing and not any(each.harms for each in reports):
        yield Finding("topics", "well", f"all {len(reports)} are there, and no setting hurts")


def may_read(settings: Settings) -> Finding:
    """Whether every topic may be read."""
    names = [name for topic in TOPICS for name in names_of(topic, settings.kafka)]
    try:
        WholeTopicReader.open(settings.kafka, topics=names, give_up_seconds=ANSWER_SECONDS).close()
    except KafkaFailure as error:
        return Finding("rights to read", "wrong", f"{error}; give this user READ and DESCRIBE on the topics")
    return Finding("rights to read", "well", "every topic may be read")


def may_write(settings: Settings) -> Finding:
    """Whether a transaction over the topics of answers may be begun; it is aborted with nothing in it."""
    kafka = settings.kafka
    group = kafka.group(kafka.inference_group)
    writes = [kafka.topic(name) for name in ("decisions", "frames.dead-letter", "banks", "bank-events")]
    refused = transactions_refused_because(kafka, group_id=group, writes=writes, give_up_seconds=ANSWER_SECONDS)
    if refused is not None:
        what = "give this user WRITE on the topics and on transactional ids that begin with the group's name"
        return Finding("rights to write", "wrong", f"{refused}; {what}")
    return Finding("rights to write", "well", "transactions over decisions, dead letters and banks are taken")


def store_works(settings: Settings) -> Finding:
    """Whether a file can be written, read back and removed."""
    url, name, data = settings.store.url, f"doctor/{uuid.uuid4().hex}", b"patchline doctor"
    try:
        store = FsspecStore.open(url)
        store.put(name, data)
        same = store.get(name) == data
        store.delete_folder("doctor")
    except StoreError as error:
        return Finding("store", "wrong", str(error))
    if not same:
        return Finding("store", "wrong", f"{url} gave back other bytes than were written; do not use it")
    return Finding("store", "well", f"{url} takes files and gives them back")


def disks_have_room(settings: Settings) -> Iterator[Finding]:
    """Where windows and banks go, and where builds keep their embeddings meanwhile."""
    places = {"disk of temporary files": Path(tempfile.gettempdir())}
    if "://" not in settings.store.url:
        places["disk of the store"] = Path(settings.store.url)
    for name, place in places.items():
        free = shutil.disk_usage(next(each for each in (place, *place.absolute().parents) if each.exists())).free
        words = f"{free / 2**30:.1f} GiB are free at {place}"
        if free < LITTLE_BYTES:
            yield Finding(name, "warning", f"{words}: make room, or builds and windows will stop")
        else:
            yield Finding(name, "well", words)


def runs_on(embedder: OnnxEmbedder) -> str:
    """What the network runs on, and why not on what was tried before."""
    refused = "; ".join(f"{each.provider}: {each.outcome}" for each in embedder.tried[:-1])
    return f"{embedder.provider}, {embedder.precision}" + (f" ({refused})" if refused else "")


def network_runs(provider: Callable[[], str]) -> Finding:
    """Whether the network can be opened, and on what it runs."""
    try:
        return Finding("network", "well", f"it runs on {provider()}")
    except Exception as error:  # noqa: BLE001 -- drivers fail in ways of their own, and each is a finding
        return Finding("network", "wrong", f"{error}; set runtime.provider or runtime.backbone")


def ports_are_ours(settings: Settings) -> Iterator[Finding]:
    """Whether each metrics port is free, or one of our services answers there."""
    ports = {
        "inspect": settings.inference.metrics_port,
        "train": settings.trainer.metrics_port,
        "watch": settings.watch.metrics_port,
        "record": settings.record.metrics_port,
        "up": settings.up.metrics_port,
    }
    for name, port in ports.items():
        said = _page(port, "/readyz")
        if said is not None and said.startswith(("Ready", "Not ready")):
            verdict: Literal["well", "warning"] = "well" if said.startswith("Ready") else "warning"
            yield Finding(f"port of {name}", verdict, f"{port}: {said.strip()}")
        else:
            yield _unless_taken(name, port)


def clock_is_right(settings: Settings) -> Finding:
    """What a running inspection knows of this machine's clock: it hears the broker's with every commit."""
    text = _page(settings.inference.metrics_port, "/metrics") or ""
    samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
    skew = next((each.value for each in samples if each.name == "patchline_clock_skew_seconds"), None)
    if skew is None:
        return Finding(
            "clock", "warning", "unknown: no inspection of this machine has committed yet; ask again when one has"
        )
    if abs(skew) > SKEW_SECONDS:
        return Finding("clock", "wrong", f"it is {skew:+.1f} s off the broker's; set it (chrony, systemd-timesyncd)")
    return Finding("clock", "well", f"it is {skew:+.2f} s off the broker's")


def _unless_taken(name: str, port: int) -> Finding:
    try:
        require_free(port)
    except EmbeddedBrokerError:
        return Finding(f"port of {name}", "wrong", f"{port} is taken by another program; stop it, or set another port")
    return Finding(f"port of {name}", "well", f"{port} is free")


def _page(port: int, path: str) -> str | None:
    """A page of whatever listens on a port of this machine, well or not; None where nothing answers."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=PAGE_SECONDS) as answer:
            return str(answer.read().decode("utf-8", "replace"))
    except HTTPError as refused:
        return refused.read().decode("utf-8", "replace")
    except (URLError, OSError, ValueError):
        return None
