"""Settings: file, environment and flags in this order; nothing unknown is let through; no value is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.errors import UsageError
from deploy.settings import read_settings, setting_names

EXAMPLE = Path(__file__).parents[2] / "patchline.example.yaml"


def written(folder: Path, text: str) -> Path:
    """A settings file with this text."""
    path = folder / "patchline.yaml"
    path.write_text(text)
    return path


def sentence(path: Path | None, environ: dict[str, str] | None = None, flags: tuple[str, ...] = ()) -> str:
    """The sentence that a person sees."""
    with pytest.raises(UsageError) as caught:
        read_settings(path, environ or {}, flags)
    return str(caught.value)


def test_the_environment_overrides_the_file_and_a_flag_overrides_both(tmp_path: Path) -> None:
    """Each source is laid over the one before it, key by key."""
    path = written(tmp_path, "inference: {batch_frames: 2, queue_frames: 90, decode_threads: 3}\n")
    environ = {"PATCHLINE__INFERENCE__BATCH_FRAMES": "4", "PATCHLINE__INFERENCE__QUEUE_FRAMES": "91"}
    settings = read_settings(path, environ, ["inference.batch_frames=8"])
    assert settings.inference.batch_frames == 8
    assert settings.inference.queue_frames == 91
    assert settings.inference.decode_threads == 3


def test_what_the_command_fixes_wins_over_everything() -> None:
    """An embedded broker has the address it has, whatever the environment says."""
    environ = {"PATCHLINE__KAFKA__BOOTSTRAP_SERVERS": "elsewhere:9092"}
    settings = read_settings(None, environ, over={"kafka": {"bootstrap_servers": "127.0.0.1:7"}})
    assert settings.kafka.bootstrap_servers == "127.0.0.1:7"


def test_an_unknown_key_of_the_file_is_refused_with_the_nearest_right_name(tmp_path: Path) -> None:
    """A misspelt key must not be silently ignored."""
    path = written(tmp_path, "kafka: {bootstrap_server: here:9092}\n")
    assert sentence(path) == (f"{path}: unknown setting kafka.bootstrap_server; did you mean kafka.bootstrap_servers?")


def test_an_unknown_section_is_refused(tmp_path: Path) -> None:
    """Sections are keys too."""
    path = written(tmp_path, "inferense: {batch_frames: 2}\n")
    assert sentence(path) == f"{path}: unknown setting inferense; did you mean inference?"


def test_a_key_in_the_wrong_section_is_led_to_the_right_one(tmp_path: Path) -> None:
    """Nothing beside it is alike, but the name exists elsewhere."""
    path = written(tmp_path, "provider: cpu\n")
    assert sentence(path) == f"{path}: unknown setting provider; did you mean runtime.provider?"


@pytest.mark.parametrize("given", ["1.5", "atuo", "-0.1", "true", "null"])
def test_a_noise_ratio_is_a_share_or_auto(given: str, tmp_path: Path) -> None:
    """One sentence, on the setting that a person wrote."""
    path = written(tmp_path, f"views: {{'*': {{build: {{noise_ratio: {given}}}}}}}\n")
    assert "noise_ratio: must be a share from 0 to below 1, or auto" in sentence(path)
    assert "constrained" not in sentence(path)


def test_a_key_like_nothing_lists_what_is_known() -> None:
    """Where no name is near, the known ones are named."""
    assert sentence(None, flags=("store.zzz=1",)) == "--set store.zzz: unknown setting store.zzz; known here: url"


def test_an_unknown_environment_variable_is_refused_with_the_nearest_right_name() -> None:
    """A variable that nobody reads would be a setting that silently does not work."""
    assert sentence(None, {"PATCHLINE__INFERENCE__QUEUE_FRAMS": "3"}) == (
        "PATCHLINE__INFERENCE__QUEUE_FRAMS: unknown setting inference.queue_frams; did you mean inference.queue_frames?"
    )


def test_a_variable_with_half_the_prefix_is_refused() -> None:
    """One underscore too few is the commonest mistake of all."""
    assert sentence(None, {"PATCHLINE_KAFKA__BOOTSTRAP_SERVERS": "a:1"}) == (
        "PATCHLINE_KAFKA__BOOTSTRAP_SERVERS is no setting; did you mean PATCHLINE__KAFKA__BOOTSTRAP_SERVERS?"
    )


@pytest.mark.parametrize("name", ["PATCHLINE_TEST_DATA", "PATCHLINE_TEST__X", "PATCHLINE_SERVICE_HOST", "HOME"])
def test_variables_that_are_not_ours_are_left_alone(name: str) -> None:
    """The tests have variables of their own, and Kubernetes sets some for every service."""
    assert read_settings(None, {name: "anything"}) == read_settings(None, {})


def test_unknown_keys_are_found_below_view_patterns(tmp_path: Path) -> None:
    """Views hold the fields of trainer and inference, and build settings below."""
    path = written(tmp_path, 'views: {"line-3/*": {build: {geometry: {heigth_px: 320}}}}\n')
    assert sentence(path) == (
        f"{path}: unknown setting views.line-3/*.build.geometry.heigth_px; "
        "did you mean views.line-3/*.build.geometry.height_px?"
    )


def test_a_value_of_the_wrong_kind_names_its_source_and_never_the_value(tmp_path: Path) -> None:
    """What stands in the wrong place may be a password."""
    path = written(tmp_path, "inference: {batch_frames: s3cret}\n")
    from_file = sentence(path)
    assert from_file.startswith(f"{path}: inference.batch_frames: input should be a valid integer")
    from_environment = sentence(path, {"PATCHLINE__INFERENCE__BATCH_FRAMES": "s3cret"})
    assert from_environment.startswith("the environment: inference.batch_frames: ")
    from_flag = sentence(path, flags=("inference.batch_frames=s3cret",))
    assert from_flag.startswith("a --set flag: inference.batch_frames: ")
    assert "s3cret" not in from_file + from_environment + from_flag


def test_fp16_is_not_asked_of_what_computes_in_fp32(tmp_path: Path) -> None:
    """Where the provider is named; `auto` tries TensorRT alone."""
    path = written(tmp_path, "runtime: {provider: cuda, precision: fp16}\n")
    assert sentence(path) == (
        f"{path}: runtime: cuda computes in fp32: leave precision at auto, or set provider to tensorrt"
    )
    for flags in (["runtime.precision=fp16"], ["runtime.precision=fp32", "runtime.provider=cuda"]):
        assert read_settings(None, {}, flags).runtime.precision in {"fp16", "fp32"}


def test_a_view_takes_every_matching_pattern_later_over_earlier(tmp_path: Path) -> None:
    """Nested sections merge: a view that changes one build setting keeps the others."""
    path = written(
        tmp_path,
        'views: {"*": {first_build_frames: 50, deadline_seconds: 2, build: {noise_ratio: 0.2, seed: 7}}, '
        '"line-3/*": {build: {noise_ratio: 0.3}}}\n',
    )
    settings = read_settings(path, {})
    wide, narrow = settings.training_of("line-1/top"), settings.training_of("line-3/top")
    assert (wide.first_build_frames, wide.build.noise_ratio, wide.build.seed) == (50, 0.2, 7)
    assert (narrow.first_build_frames, narrow.build.noise_ratio, narrow.build.seed) == (50, 0.3, 7)
    assert settings.inspection_of("line-3/top").deadline_seconds == 2


def test_a_pattern_is_judged_on_top_of_the_wider_ones_before_it(tmp_path: Path) -> None:
    """Alone, this low clip would lie above the default high one."""
    path = written(tmp_path, 'views: {"*": {build: {soft_weight_high: 8}}, "a/*": {build: {soft_weight_low: 5}}}\n')
    assert read_settings(path, {}).training_of("a/b").build.soft_weight_low == 5


def test_a_wrong_value_of_a_view_is_refused_at_the_start(tmp_path: Path) -> None:
    """Not first when a frame of that view comes, in the middle of the night."""
    path = written(tmp_path, 'views: {"line-3/*": {deadline_seconds: -1}}\n')
    assert sentence(path) == f"{path}: views.line-3/*.deadline_seconds: input should be greater than 0"


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    """One sentence, no traceback."""
    path = tmp_path / "none.yaml"
    assert sentence(path) == f"{path} does not exist; copy patchline.example.yaml, or leave --settings away"


def test_a_file_that_is_no_yaml_says_where(tmp_path: Path) -> None:
    """Line and column, as an editor counts them."""
    path = written(tmp_path, "kafka: {\n  a: [\n")
    assert sentence(path).startswith(f"{path} is not YAML at line 3, column 1: ")


def test_a_file_without_sections_is_refused(tmp_path: Path) -> None:
    """A list is no settings."""
    path = written(tmp_path, "- kafka\n")
    assert sentence(path) == f"{path} must hold sections such as `kafka:`, not a list"


def test_bytes_that_are_no_text_are_refused() -> None:
    """As a shell may pass them on: Python reads them as lone surrogates."""
    assert "--set runtime.threads holds a value that is not YAML" in sentence(None, flags=("runtime.threads=\udcff",))


def test_a_flag_without_a_value_is_refused() -> None:
    """`--set runtime.threads 2` is what people write."""
    assert sentence(None, flags=("runtime.threads",)) == (
        "--set runtime.threads lacks a value; write --set section.key=value"
    )


def test_the_example_file_is_valid_and_says_the_defaults() -> None:
    """Copying it changes nothing."""
    example, bare = read_settings(EXAMPLE, {}), read_settings(None, {})
    assert example.model_copy(update={"views": {}}) == bare
    assert example.training_of("any/camera") == bare.training_of("any/camera")
    assert example.inspection_of("any/camera") == bare.inspection_of("any/camera")


def test_setting_names_reach_the_deepest_section() -> None:
    """What the nearest right name is looked for among."""
    names = setting_names()
    assert "kafka.bootstrap_servers" in names
    assert "views.*.build.geometry.width_px" in names


@pytest.mark.parametrize("text", ["1", "007", "1e3", "true", "2026-11-28", "line-1"])
def test_a_setting_that_is_a_text_is_what_was_written(text: str) -> None:
    """`--set kafka.instance_id=1` was a number, and refused; 007 would have become 7."""
    assert read_settings(None, {}, [f"kafka.instance_id={text}"]).kafka.instance_id == text
    assert read_settings(None, {"PATCHLINE__KAFKA__INSTANCE_ID": text}).kafka.instance_id == text


def test_a_password_never_shows() -> None:
    """Not in the settings' repr, nor where it is in the wrong place."""
    environ = {
        "PATCHLINE__KAFKA__SECURITY": "sasl_tls",
        "PATCHLINE__KAFKA__USERNAME": "patchline",
        "PATCHLINE__KAFKA__PASSWORD": "0123456",
    }
    settings = read_settings(None, environ)
    assert settings.kafka.secret() == "0123456"
    assert "0123456" not in repr(settings) + str(settings.model_dump())
    with pytest.raises(UsageError) as refused:
        read_settings(None, {**environ, "PATCHLINE__KAFKA__SECURITY": "plaintext"})
    assert "0123456" not in str(refused.value)
    assert "security plaintext sends no password: set security to sasl_tls" in str(refused.value)


def test_regions_and_bits_are_settings_of_a_view_and_a_slip_in_them_has_its_place(tmp_path: Path) -> None:
    """Corners are pixels of the frame; a polygon of two corners names itself."""
    path = written(
        tmp_path, "views: {line-3/*: {build: {bit_depth: 12, regions: {ignore: [[[0, 0], [9, 0], [9, 9]]]}}}}\n"
    )
    build = read_settings(path, {}).training_of("line-3/top").build
    assert (build.bit_depth, build.regions.ignore) == (12, (((0, 0), (9, 0), (9, 9)),))
    slip = written(tmp_path, "views: {line-3/*: {build: {regions: {ignore: [[[0, 0], [9, 0]]]}}}}\n")
    assert sentence(slip) == (
        f"{slip}: views.line-3/*.build.regions.ignore.0: a region has at least three corners, each [x, y], and this "
        "one has 2"
    )
    deep = written(tmp_path, "views: {line-3/*: {build: {bit_depth: 20}}}\n")
    assert sentence(deep) == f"{deep}: views.line-3/*.build.bit_depth: must be a number of bits from 8 to 16, or auto"
