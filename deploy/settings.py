"""The one place where settings are read: `patchline.yaml`, over it the environment, over both the flags.

A key that nobody knows is refused with the nearest right name, whichever of the three it comes from. No message of this
module shows a value: what is wrong may be a password in the wrong place.
"""

from __future__ import annotations

import difflib
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from deploy.errors import UsageError
from inference.settings import InferenceSettings, ViewInspection
from ingest.claims import ClaimSettings
from ingest.decoding import ImageSettings
from ingest.kafka.settings import KafkaSettings
from ingest.view import merged, settings_of_view
from monitoring.console.settings import ConsoleSettings
from monitoring.record.settings import RecordSettings
from monitoring.watch.settings import WatchSettings
from trainer.settings import TrainerSettings, ViewTraining

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

PREFIX = "PATCHLINE__"
HALF_PREFIX = "PATCHLINE_"
TESTS_PREFIX = "PATCHLINE_TEST_"
"""Belongs to the test suite: never a setting, never an error."""

ViewModel = TypeVar("ViewModel", bound=BaseModel)

VIEW_MODELS: tuple[type[BaseModel], ...] = (ViewTraining, ViewInspection)


class StoreSettings(BaseModel):
    """Where banks and windows are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    url: str = Field(default="./patchline-data", min_length=1, description="A folder, or an fsspec URL as s3://bucket.")


class RuntimeSettings(BaseModel):
    """Which network runs, and on what."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    backbone: str = Field(default="lite0", min_length=1, description="lite0, lite2, or the path of an exported graph.")
    provider: Literal["auto", "cpu", "cuda", "tensorrt"] = "auto"
    precision: Literal["auto", "fp32", "fp16"] = Field(
        default="auto", description="auto: fp16 on TensorRT, else fp32, without TF32; fp16 is TensorRT's alone."
    )
    engine_cache: str = Field(
        default="./patchline-data/engines",
        min_length=1,
        description="Folder of the engines that TensorRT compiles, one for each size of frame.",
    )
    threads: int | None = Field(default=None, ge=1, description="Threads of the network; none: every core.")

    @model_validator(mode="after")
    def _fp16_needs_tensorrt(self) -> RuntimeSettings:
        if self.precision == "fp16" and self.provider in {"cpu", "cuda"}:
            raise ValueError(f"{self.provider} computes in fp32: leave precision at auto, or set provider to tensorrt")
        return self


class UpSettings(BaseModel):
    """`patchline up` as a process: what it shows of the services that it runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=9400, ge=0, lt=2**16, description="0: a free one.")


class Settings(BaseModel):
    """All of `patchline.yaml`, composed from the sections that the services define themselves."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    store: StoreSettings = Field(default_factory=StoreSettings)
    runtime: RuntimeSettings = Field(default_factory=RuntimeSettings)
    images: ImageSettings = Field(default_factory=ImageSettings)
    claims: ClaimSettings = Field(default_factory=ClaimSettings)
    inference: InferenceSettings = Field(default_factory=InferenceSettings)
    trainer: TrainerSettings = Field(default_factory=TrainerSettings)
    watch: WatchSettings = Field(default_factory=WatchSettings)
    record: RecordSettings = Field(default_factory=RecordSettings)
    up: UpSettings = Field(default_factory=UpSettings)
    console: ConsoleSettings = Field(default_factory=ConsoleSettings)
    views: dict[str, dict[str, Any]] = Field(default_factory=dict, description="View patterns, later over earlier.")

    @property
    def training_of(self) -> Callable[[str], ViewTraining]:
        """The trainer's settings of a view."""
        return lru_cache(maxsize=1024)(lambda view: _part(self.views, view, ViewTraining))

    @property
    def inspection_of(self) -> Callable[[str], ViewInspection]:
        """Inference's settings of a view."""
        return lru_cache(maxsize=1024)(lambda view: _part(self.views, view, ViewInspection))


def read_settings(
    path: Path | None,
    environ: Mapping[str, str],
    flags: Sequence[str] = (),
    *,
    over: Mapping[str, object] | None = None,
) -> Settings:
    """The settings of a command: file, environment, `--set section.key=value` flags, then what the command fixes.

    Raises:
        UsageError: in one sentence, what is wrong, where, and the nearest right name.
    """
    document = read_document(path) if path else {}
    source = str(path) if path else "settings"
    refuse_unknown(document, source)
    by_environment = environment_overrides(environ)
    by_flag = flag_overrides(flags)
    settings = merged(merged(merged(document, by_environment), by_flag), over or {})
    return _validated(settings, [("a --set flag", by_flag), ("the environment", by_environment), (source, document)])


def read_document(path: Path) -> dict[str, object]:
    """The mapping in a YAML file. Raises UsageError where there is no file, no YAML or no mapping."""
    try:
        document = _yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist; copy patchline.example.yaml, or leave --settings away") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"{path} is not YAML{where}: {getattr(error, 'problem', None) or 'malformed'}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise UsageError(f"{path} must hold sections such as `kafka:`, not a {type(document).__name__}")
    return document


def _yaml(text: str) -> Any:  # noqa: ANN401 -- whatever it holds
    """By libyaml, ten times as fast, where PyYAML was built with it."""
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 -- both are safe


def environment_overrides(environ: Mapping[str, str]) -> dict[str, object]:
    """The `PATCHLINE__SECTION__KEY` variables as a document; values are read as YAML.

    Raises:
        UsageError: a variable names no setting; `PATCHLINE_TEST_*` is ignored, as is all that is plainly not ours.
    """
    overrides: dict[str, object] = {}
    for name, text in sorted(environ.items()):
        if name.startswith(TESTS_PREFIX):
            continue
        if name.startswith(PREFIX):
            keys = [key.lower() for key in name.removeprefix(PREFIX).split("__")]
            overrides = merged(overrides, _nested(keys, text, origin=name))
        elif name.startswith(HALF_PREFIX) and "__" in name:
            raise UsageError(f"{name} is no setting; did you mean {PREFIX}{name.removeprefix(HALF_PREFIX)}?")
    return overrides


def flag_overrides(flags: Sequence[str]) -> dict[str, object]:
    """The `--set section.key=value` flags as a document. Raises UsageError where one names no setting."""
    overrides: dict[str, object] = {}
    for flag in flags:
        name, equals, text = flag.partition("=")
        if not equals:
            raise UsageError(f"--set {name} lacks a value; write --set section.key=value")
        overrides = merged(overrides, _nested(name.split("."), text, origin=f"--set {name}"))
    return overrides


def refuse_unknown(document: Mapping[str, object], origin: str) -> None:
    """Raise UsageError for the first key of a document that is no setting."""
    for path in _unknown(document, Settings):
        raise UsageError(f"{origin}: {_sentence_on(path)}")


def _nested(keys: Sequence[str], text: str, *, origin: str) -> dict[str, object]:
    try:
        value = _yaml(text)
    except (yaml.YAMLError, UnicodeEncodeError):  # the second by libyaml, of bytes that are no text
        raise UsageError(f"{origin} holds a value that is not YAML; put it in quotes") from None
    document: Any = text if _takes_text(keys) and isinstance(value, int | float | date) else value
    for key in reversed(keys):
        document = {key: document}
    refuse_unknown(document, origin)
    return dict(document)


def _takes_text(keys: Sequence[str]) -> bool:
    """Whether a setting is a text: `kafka.instance_id=007` and a password of digits are what was written."""
    model: type[BaseModel] | None = Settings
    for key in keys[:-1]:
        model = _sections(model).get(key) if model else None
    field = model.model_fields.get(keys[-1]) if model else None
    return field is not None and bool({str, SecretStr} & {field.annotation, *get_args(field.annotation)})


def _unknown(
    document: Mapping[str, object], model: type[BaseModel], at: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    known = _sections(model)
    for key, value in document.items():
        path = (*at, str(key))
        if key not in known:
            yield path
        elif path == ("views",):
            yield from _unknown_in_views(value)
        elif isinstance(value, dict) and (section := known[key]):
            yield from _unknown(value, section, path)


def _unknown_in_views(views: object) -> Iterator[tuple[str, ...]]:
    known = _view_fields()
    for pattern, section in views.items() if isinstance(views, dict) else ():
        for key, value in section.items() if isinstance(section, dict) else ():
            path = ("views", str(pattern), str(key))
            if key not in known:
                yield path
            elif isinstance(value, dict) and (below := known[key]):
                yield from _unknown(value, below, path)


def _sections(model: type[BaseModel]) -> dict[str, type[BaseModel] | None]:
    """The names a section takes, each with the model of the section below it."""
    return {name: _section_below(field.annotation) for name, field in model.model_fields.items()}


def _section_below(kind: object) -> type[BaseModel] | None:
    """The model of a field's section, which may be absent; None for a field of one value."""
    models = [each for each in (kind, *get_args(kind)) if isinstance(each, type) and issubclass(each, BaseModel)]
    return models[0] if models else None


def _view_fields() -> dict[str, type[BaseModel] | None]:
    return {name: below for model in VIEW_MODELS for name, below in _sections(model).items()}


def _known_at(path: Sequence[str]) -> list[str]:
    """The right names beside the last key of a path."""
    if path[0] == "views" and len(path) > 2:  # noqa: PLR2004 -- views, pattern, key
        names, rest = _view_fields(), path[2:-1]
    else:
        names, rest = _sections(Settings), path[:-1]
    for key in rest:
        below = names.get(key)
        names = _sections(below) if below else {}
    return list(names)


def _sentence_on(path: Sequence[str]) -> str:
    """What a person who wrote this key should have written."""
    key, beside = path[-1], _known_at(path)
    if close := difflib.get_close_matches(key, beside, n=1):
        return f"unknown setting {'.'.join(path)}; did you mean {'.'.join((*path[:-1], close[0]))}?"
    elsewhere = {place.rsplit(".", 1)[-1]: place for place in setting_names()}
    if close := difflib.get_close_matches(key, elsewhere, n=1, cutoff=0.8):
        return f"unknown setting {'.'.join(path)}; did you mean {elsewhere[close[0]]}?"
    return f"unknown setting {'.'.join(path)}; known here: {', '.join(sorted(beside))}"


def setting_names() -> list[str]:
    """The dotted name of every setting; those of views under the pattern `*`."""
    views = {"views.*": _view_fields()}
    tops = {name: _sections(below) for name, below in _sections(Settings).items() if below}
    return list(_walk(tops | views))


def _walk(sections: Mapping[str, Mapping[str, type[BaseModel] | None]]) -> Iterator[str]:
    for at, names in sections.items():
        for name, below in names.items():
            yield f"{at}.{name}"
            if below:
                yield from _walk({f"{at}.{name}": _sections(below)})


def _validated(document: Mapping[str, object], sources: Sequence[tuple[str, Mapping[str, object]]]) -> Settings:
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        raise UsageError(_first_fault(error, (), sources)) from None
    for pattern, section in settings.views.items():
        _check_view(pattern, section, settings.views, sources)
    return settings


def _check_view(
    pattern: str,
    section: Mapping[str, object],
    views: Mapping[str, Mapping[str, object]],
    sources: Sequence[tuple[str, Mapping[str, object]]],
) -> None:
    """Hold a pattern's section against the contract, on top of what every wider pattern before it says."""
    before = {name: views[name] for name in list(views)[: list(views).index(pattern)]}
    whole = merged(settings_of_view(pattern, before), section)
    for model in VIEW_MODELS:
        try:
            model.model_validate({key: value for key, value in whole.items() if key in model.model_fields})
        except ValidationError as error:
            raise UsageError(_first_fault(error, ("views", pattern), sources)) from None


def _first_fault(error: ValidationError, at: Sequence[str], sources: Sequence[tuple[str, Mapping[str, object]]]) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    path = (*at, *map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    origin = next((name for name, document in sources if _has(document, path)), sources[-1][0])
    return f"{origin}: {'.'.join(path)}: {message[:1].lower()}{message[1:]}"


def _has(document: object, path: Sequence[str]) -> bool:
    for key in path:
        if not isinstance(document, dict) or key not in document:
            return False
        document = document[key]
    return True


def _part(views: Mapping[str, Mapping[str, object]], view: str, model: type[ViewModel]) -> ViewModel:
    whole = settings_of_view(view, views)
    return model.model_validate({key: value for key, value in whole.items() if key in model.model_fields})
