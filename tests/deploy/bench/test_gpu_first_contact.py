"""The prepared measurement runs on the CPU in small sizes, says what it lacks, and goes on where a part fails."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.bench import gpu_first_contact, gpu_product_parts
from tests.bench.gpu_first_contact import Part, as_markdown, main
from tests.bench.gpu_parts import SMALL, Device, Measured

if TYPE_CHECKING:
    from pathlib import Path

HERE = Device("cpu", SMALL)


@pytest.mark.slow
def test_networks_and_faiss_are_measured_without_torch() -> None:
    """Every provider is there with figures, or with the reason; the CPU has figures."""
    networks = gpu_product_parts.networks(HERE)
    assert [row[0] for row in networks.rows] == ["tensorrt", "cuda", "cpu"]
    assert networks.rows[-1][1] == "0.0e+00"
    assert all(float(str(cell)) > 0 for cell in networks.rows[-1][2:])
    (answer,) = gpu_product_parts.faiss_search(HERE).rows
    assert answer


@pytest.mark.export
def test_everything_runs_with_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No part lacks a table; search and probes agree with the definition; the file holds what was printed."""
    pytest.importorskip("torch", reason="needs the export extra")
    written = tmp_path / "measured.json"
    monkeypatch.setattr(sys, "argv", ["gpu_first_contact", "--small", "--json", str(written)])
    main()
    tables = {table["title"]: table for table in json.loads(written.read_text())["tables"]}
    assert len(tables) == len(gpu_first_contact.PARTS)
    assert not [table for table in tables.values() if table["columns"] == ["not measured"]]
    parity = tables["Search by torch against the definition"]["rows"]
    assert all(float(difference) < 1e-4 for _, *differences in parity for difference in differences)
    assert ["results of neither bank", 0] in tables["Bank swaps during search"]["rows"]
    assert tables["Build of 12 frames of 512 px, calibrated"]["rows"][-1][1].endswith(" s")
    assert tables["Probes of a bank built on the CPU"]["rows"][-1][2].endswith(" of 1e-04")
    stages = tables["Search by stage, 2 frames at once"]["rows"]
    assert [row[0] for row in stages] == ["fp32", "fp16"]
    assert all(float(row[-1].removesuffix("%")) > 90 for row in stages)
    (to_score,) = (table for title, table in tables.items() if title.startswith("Frame to score"))
    assert [row[:2] for row in to_score["rows"]][2:] == [["cpu", 1], ["cpu", 2]]
    assert all(float(cell) > 0 for row in to_score["rows"][2:] for cell in row[2:])
    *threads, beside, there = tables["JPEG of 160 x 120 px to 64 px"]["rows"]
    assert beside[0].endswith("beside the network on cpu")
    assert float(beside[3]) > 0
    assert threads[0][0] == "threads: 1"
    assert there[0] == "torchvision, cpu"
    assert all(float(cell) > 0 for row in (*threads, there) for cell in row[1:4])
    assert float(there[-1].split(",")[0]) < 1


def test_decoding_is_measured_by_threads_where_torchvision_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where nvJPEG is not there: the row says so, the others have figures."""

    def lacking(*_: object) -> None:
        raise ImportError("no libnvjpeg.so")

    monkeypatch.setattr(gpu_product_parts, "_decoded_there", lacking)
    *threads, _, there = gpu_product_parts.decoding(HERE).rows
    assert all(float(str(cell)) > 0 for row in threads for cell in row[1:4])
    assert there[0] == "torchvision, cpu: ImportError: no libnvjpeg.so"


def test_a_part_that_lacks_something_or_fails_says_so() -> None:
    """And none begins after the time is out."""
    lacking = Part("tests.bench.gpu_parts", "wide_network", ("a_module_that_is_not_there",)).measured(HERE)
    assert lacking == Measured("wide network", ("not measured",), [("not installed: a_module_that_is_not_there",)])
    failing = Part("tests.bench.gpu_parts", "no_such_part", ()).measured(HERE)
    assert failing.rows[0][0].startswith("AttributeError: ")
    assert {table.rows[0][0] for table in gpu_first_contact.measured(HERE, -1.0)} == {"left out: no time"}


def test_tables_are_markdown() -> None:
    """As docs/performance.md takes them."""
    table = Measured("Copies", ("what", "GB/s"), [("to the device", 12.5)])
    assert as_markdown(table) == "**Copies**\n\n| what | GB/s |\n| --- | --- |\n| to the device | 12.5 |\n"
