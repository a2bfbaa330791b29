"""What every test shares: shapes are checked, and real data, weights and brokers are found or skipped with a reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# Only the test run checks array shapes: every annotated function of the library is called through beartype.
install_import_hook(["softpatch"], "beartype.beartype")


def folder_from(variable: str) -> Path:
    """The folder an environment variable names; skips where it is unset, fails where it names nothing."""
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set")
    folder = Path(value)
    if not folder.exists():
        pytest.fail(f"{variable} names {folder}, which does not exist")
    return folder


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
