"""deploy/compose.yml, its image and what it mounts, held against their schema, our command and our settings.

No container engine runs these tests; tests/e2e/test_alarms_and_dashboards.py runs the same file as processes.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer import TyperException
from typer.core import TyperGroup
from typer.main import get_command

from deploy.cli import app
from deploy.settings import Settings, read_settings
from ingest.kafka.topics import TOPICS
from tests.e2e.composed import COMPOSE, ROOT, WORKING_FOLDER, mounts, services

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DEPLOY = ROOT / "deploy"
SERVICES = services()
OURS = [name for name, service in SERVICES.items() if service.get("build")]
CHECK = ["CMD", "python", "-m", "monitoring.healthcheck"]
GPU = DEPLOY / "compose.gpu.yml"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def check_schema(document: Path) -> subprocess.CompletedProcess[str]:
    """The Compose specification's own JSON schema, as check-jsonschema ships it."""
    pytest.importorskip("check_jsonschema")
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(document)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.process
def test_compose_is_by_its_specification() -> None:
    """Every key exists and has a value of its kind."""
    check = check_schema(COMPOSE)
    assert check.returncode == 0, check.stdout + check.stderr


def test_the_images_of_others_are_named_by_digest() -> None:
    """What a tag means may change."""
    base = re.search(r"^ARG BASE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert base is not None
    others = [service["image"] for name, service in SERVICES.items() if name not in OURS]
    assert len(others) == 4
    for image in (base[1], *others):
        assert re.fullmatch(r"[a-z/]+:[\w.-]+@sha256:[0-9a-f]{64}", image), image


@pytest.mark.process
def test_the_specification_finds_a_misspelt_key(tmp_path: Path) -> None:
    """The check above can fail."""
    document = yaml.safe_load(COMPOSE.read_text())
    document["services"]["inspect"]["volums"] = document["services"]["inspect"].pop("volumes")
    (tmp_path / "compose.yml").write_text(yaml.safe_dump(document))
    check = check_schema(tmp_path / "compose.yml")
    assert check.returncode == 1
    assert "volums" in check.stdout


def understood(words: Sequence[str]) -> bool:
    """Whether our command has this subcommand with these options; parsed only, nothing is run."""
    found, rest = get_command(app), [*map(str, words)]
    try:
        while isinstance(found, TyperGroup):
            _, command, rest = found.resolve_command(found.context_class(found), rest)
            assert command is not None
            found = command
        found.make_context(None, rest)
    except TyperException:
        return False
    return True


@pytest.mark.parametrize("name", OURS)
def test_each_command_is_one_of_ours(name: str) -> None:
    """With options that it has."""
    assert understood(SERVICES[name]["command"])


@pytest.mark.parametrize("words", [["inspekt"], ["topics", "make"], ["watch", "--metrics-prt", "1"]])
def test_a_command_that_is_none_is_found(words: list[str]) -> None:
    """The check above can fail: by a wrong command and by a wrong option."""
    assert not understood(words)


def settings_of(name: str) -> Settings:
    """The settings that a service reads: the file mounted where it works, and its environment. Raises WrongUse."""
    (mounted,) = (source for source, target in mounts(SERVICES[name]) if target == f"{WORKING_FOLDER}/patchline.yaml")
    environ = {key: str(value) for key, value in SERVICES[name]["environment"].items()}
    return read_settings(COMPOSE.parent / mounted, environ)


def served_at(name: str) -> int | None:
    """The metrics port of a service, which it must open to others; None where it serves none."""
    settings = settings_of(name)
    sections = {
        "inspect": settings.inference,
        "train": settings.trainer,
        "watch": settings.watch,
        "record": settings.record,
    }
    if name in sections:
        assert sections[name].metrics_host == "0.0.0.0"  # noqa: S104 -- a container has no other way
        return int(sections[name].metrics_port)
    words = [str(word) for word in SERVICES[name]["command"]]
    options = dict(pairwise(words))
    assert ("--metrics-port" in options) == (options.get("--metrics-host") == "0.0.0.0")  # noqa: S104 -- the same
    return int(options["--metrics-port"]) if "--metrics-port" in options else None


@pytest.mark.parametrize("name", OURS)
def test_each_service_finds_kafka_and_store_by_settings_that_exist(name: str) -> None:
    """The broker by the name and port it listens on there, the store in a volume that all share."""
    settings = settings_of(name)
    assert (
        f"PLAINTEXT://{settings.kafka.bootstrap_servers}"
        in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    )
    volumes = {target: source for source, target in mounts(SERVICES[name])}
    (volume,) = (source for target, source in volumes.items() if settings.store.url.startswith(f"{target}/"))
    assert volume == "store"


def targets(folder: str) -> Iterator[tuple[str, str]]:
    """Job and address of everything that Prometheus scrapes there."""
    for file in ("services.yml", "cameras.yml"):
        for group in yaml.safe_load((DEPLOY / "prometheus" / folder / file).read_text()):
            for address in group["targets"]:
                yield group["labels"]["job"], address


def test_prometheus_scrapes_each_service_where_it_serves() -> None:
    """Each of ours that serves metrics, and nothing that does not."""
    serving = {(f"patchline-{name}", f"{name}:{port}") for name in OURS if (port := served_at(name))}
    assert set(targets("targets-compose")) == serving


def test_prometheus_finds_what_up_starts_on_one_machine() -> None:
    """By the default ports."""
    default = Settings()
    ports = {
        "inspect": default.inference,
        "train": default.trainer,
        "watch": default.watch,
        "record": default.record,
        "up": default.up,
    }
    there = {(f"patchline-{name}", f"127.0.0.1:{section.metrics_port}") for name, section in ports.items()}
    assert set(targets("targets")) == there


def test_both_folders_of_targets_have_the_files_that_prometheus_reads() -> None:
    """One stands in for the other."""
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    lists = [*config["scrape_configs"], *config["alerting"]["alertmanagers"]]
    read = {file for each in lists for discovery in each["file_sd_configs"] for file in discovery["files"]}
    for folder in ("targets", "targets-compose"):
        assert {f"targets/{file.name}" for file in (DEPLOY / "prometheus" / folder).iterdir()} == read


def test_prometheus_tells_the_alertmanager_that_compose_starts() -> None:
    """By its name and the port its image listens on."""
    (group,) = yaml.safe_load((DEPLOY / "prometheus/targets-compose/alertmanagers.yml").read_text())
    assert group["targets"] == ["alertmanager:9093"]
    assert any(port.endswith(":9093") for port in SERVICES["alertmanager"]["ports"])
    assert SERVICES["grafana"]["environment"]["PROMETHEUS_URL"] == "http://prometheus:9090"


@pytest.mark.parametrize("name", SERVICES)
def test_all_that_is_mounted_exists(name: str) -> None:
    """A path that is not there would be made an empty folder; a volume must be declared."""
    declared = yaml.safe_load(COMPOSE.read_text())["volumes"]
    for source, _ in mounts(SERVICES[name]):
        assert source in declared or (COMPOSE.parent / source).exists(), source


@pytest.mark.parametrize("name", ["prometheus", "alertmanager"])
def test_what_a_command_names_is_mounted(name: str) -> None:
    """The file it reads, and the folder it writes to."""
    targets_there = {target for _, target in mounts(SERVICES[name])}
    named = {word.partition("=")[2] for word in SERVICES[name]["command"] if re.search(r"=/", word)}
    assert named
    assert named <= targets_there


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_can_do_no_more_than_it_must(name: str) -> None:
    """Nothing to write to but the store and a temporary folder, no capability, and it comes back when it dies."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108 -- inside the container
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == ("on-failure" if name == "topics" else "unless-stopped")


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_fills_the_disk_with_logs_or_takes_all_memory(name: str) -> None:
    """The engine keeps a log for ever unless it is told otherwise."""
    assert SERVICES[name]["logging"] == {"driver": "json-file", "options": {"max-size": "50m", "max-file": "5"}}
    assert re.fullmatch(r"(\d+[mg]|\$\{\w+:-\d+[mg]\})", SERVICES[name]["mem_limit"])


def test_what_a_build_puts_aside_goes_to_a_disk() -> None:
    """The temporary folder is a tmpfs, which is memory; a TMPDIR that does not exist would be passed over unsaid."""
    volumes = {target for source, target in mounts(SERVICES["train"]) if not source.startswith(".")}
    assert SERVICES["train"]["environment"]["TMPDIR"] in volumes


def test_nothing_is_published_beyond_this_machine() -> None:
    """No service has a password that is worth the name."""
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_each_service_of_ours_says_whether_it_is_alive_on_the_port_it_serves() -> None:
    """A health check of another port would call a service dead that is well."""
    for name in OURS:
        port = served_at(name)
        if port is not None:
            assert SERVICES[name]["healthcheck"]["test"] == [*CHECK, str(port), "--end-after", "60"]


def test_kafka_takes_the_largest_message_that_a_topic_takes() -> None:
    """A dead letter of a large frame would be refused, and the frame be tried for ever."""
    largest = max(int(topic.configs.get("max.message.bytes", 0)) for topic in TOPICS)
    assert int(SERVICES["kafka"]["environment"]["KAFKA_MESSAGE_MAX_BYTES"]) >= largest


@pytest.mark.process
def test_the_services_on_a_gpu_are_by_the_specification() -> None:
    """The file that is laid over the other."""
    check = check_schema(GPU)
    assert check.returncode == 0, check.stdout + check.stderr


def test_the_services_on_a_gpu_keep_their_engines_in_a_volume() -> None:
    """Those that run the network, on the image that is built for it, with the folder that its settings name."""
    document = yaml.safe_load(GPU.read_text())
    assert document["services"].keys() == {"inspect", "train"} <= SERVICES.keys()
    environment = dict(re.findall(r"(PATCHLINE__\w+)=(\S+)", stages()["gpu"]))
    folder = read_settings(None, environment).runtime.engine_cache
    for service in document["services"].values():
        assert service["build"]["target"] in stages()
        ((volume, target),) = mounts(service)
        assert volume in document["volumes"]
        assert folder.startswith(f"{target}/")
        assert f"VOLUME {target}\n" in stages()["gpu"]
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_each_image_is_built_from_pinned_versions() -> None:
    """Both sets of a GPU have constraints of their own, which include the others."""
    assert "--constraint constraints.txt" in stages()["build-cpu"]
    assert "--constraint constraints-${GPU}.txt" in stages()["build-gpu"]
    for extra in ("gpu", "gpu-cu12"):
        assert "--constraint constraints.txt\n" in (ROOT / f"constraints-{extra}.txt").read_text()


def stages() -> dict[str, str]:
    """The text of each stage of the Dockerfile, by its name."""
    found = re.split(r"^FROM \S+ AS (\S+)$", DOCKERFILE, flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


def let_through(path: str) -> bool:
    """Whether .dockerignore leaves a path in: the last line that matches it, or a folder above it, decides."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    above = [path, *map(str, Path(path).parents)][:-1]
    through = True
    for line in lines:
        pattern, anywhere = line.removeprefix("!").removeprefix("**/"), "**/" in line
        if any(fnmatch(Path(each).name if anywhere else each, pattern) for each in above):
            through = line.startswith("!")
    return through


def test_the_image_is_built_from_what_the_package_is_made_of() -> None:
    """Each file it copies is there and sent to the build; so is each package that is installed, and the licence."""
    words = [
        line.split()[1:-1] for line in DOCKERFILE.splitlines() if line.startswith("COPY ") and "--from" not in line
    ]
    patterns = [source for sources in words for source in sources]
    assert all(any(ROOT.glob(pattern)) for pattern in patterns)
    copied = {str(each.relative_to(ROOT)) for pattern in patterns for each in ROOT.glob(pattern)}
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {each.rstrip("*") for each in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages | {project["project"]["readme"], *project["project"]["license-files"]} <= copied
    for source in copied:
        assert let_through(source), source
    assert let_through("softpatch/network/graphs/lite0.onnx")
    assert not let_through("tests/conftest.py")
    assert not let_through("inference/__pycache__/service.cpython-311.pyc")


def test_the_image_runs_our_command_as_nobody_in_particular() -> None:
    """Both targets come from a stage whose user is not root, and whose working folder is where settings are mounted."""
    runtime = stages()["runtime"]
    assert re.search(r"^USER 10001:10001$", runtime, re.MULTILINE)
    assert f"WORKDIR {WORKING_FOLDER}\n" in runtime
    assert 'ENTRYPOINT ["patchline"]' in runtime
    assert "NUMBA_CACHE_DIR=/tmp/" in runtime
    for target in ("cpu", "gpu"):
        assert re.search(rf"^FROM runtime AS {target}$", DOCKERFILE, re.MULTILINE)
        assert "USER" not in stages()[target]
    assert {SERVICES[name]["build"]["target"] for name in OURS} <= stages().keys()
