"""The tests' own check of array shapes refuses what jaxtyping with beartype refuses, and nothing else."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import jaxtyping
import numpy as np
import pytest
from beartype import beartype
from beartype.roar import BeartypeCallHintViolation

from softpatch.images.statistics import luma_of
from tests.array_shapes import checked, own_jaxtyped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

EXAMPLE = '''
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self
import numpy as np
from jaxtyping import Float32

Row = Float32[np.ndarray, "width"]

@CHECKED
def same_size(first: Row, second: Row) -> Row:
    return first + second

@CHECKED
def half(row: Float32[np.ndarray, "twice"], count: int = 1) -> Float32[np.ndarray, "once"]:
    return row[::2] if count == 1 else row.astype(np.float64)

@CHECKED
def rows(row: Row) -> Iterator[Row]:
    yield row
    yield half(row)

@CHECKED
def many(rows: list[Row], *more: Row, scale: float | None = None) -> str:
    return "good"

@CHECKED
def plain(count: int) -> str:
    return "good" if count else 1

@CHECKED
@dataclass(frozen=True)
class Pair:
    first: Row
    second: Row

    @classmethod
    @CHECKED
    def of(cls, row: Row, *, count: int) -> "Pair":
        return cls(row, half(row, count=1) if count == 0 else row)

    @staticmethod
    @CHECKED
    def length(row: Row) -> int:
        return len(row) if len(row) > 1 else "none"

    @property
    @CHECKED
    def wide(self) -> Float32[np.ndarray, "a b"]:
        return np.stack([self.first, self.second]) if len(self.first) > 1 else self.first

    @CHECKED
    def mixed(self, other: Row) -> Row:
        """Its own dimensions, not those of the call inside."""
        return same_size(other, half(np.repeat(other, 2)))
'''


def row(length: int) -> np.ndarray:
    """A row of ones."""
    return np.ones(length, np.float32)


CALLS: dict[str, Callable[[ModuleType], Any]] = {
    "one size for both": lambda m: m.same_size(row(3), row(3)),
    "two sizes of one name": lambda m: m.same_size(row(3), row(4)),
    "two dimensions": lambda m: m.same_size(row(3)[None], row(3)[None]),
    "another type": lambda m: m.same_size(row(3).astype(np.float64), row(3)),
    "no array": lambda m: m.same_size([1.0], [1.0]),
    "two names, two sizes": lambda m: m.half(row(4)),
    "another type is returned": lambda m: m.half(row(4), 2),
    "a default that is given by name": lambda m: m.half(row(4), count=1),
    "no number": lambda m: m.half(row(4), "1"),
    "an argument too many": lambda m: m.half(row(4), 1, 2),
    "an argument too few": lambda m: m.half(),
    "a generator": lambda m: list(m.rows(row(4))),
    "a generator of no array": lambda m: m.rows(4),
    "a list of rows": lambda m: m.many([row(3)], row(3), row(3), scale=2.0),
    "a list of none": lambda m: m.many([3]),
    "rows of two sizes": lambda m: m.many([row(3)], row(4)),
    "a keyword of another type": lambda m: m.many([row(3)], scale="2"),
    "no arrays at all": lambda m: m.plain(1),
    "no arrays, another type is returned": lambda m: m.plain(0),
    "no arrays, another type is given": lambda m: m.plain("1"),
    "a dataclass": lambda m: m.Pair(row(2), row(2)),
    "a dataclass of two sizes": lambda m: m.Pair(row(2), second=row(3)),
    "a class method": lambda m: m.Pair.of(row(4), count=1),
    "a class method that makes two sizes": lambda m: m.Pair.of(row(4), count=0),
    "a static method": lambda m: m.Pair.length(row(2)),
    "a static method that returns another type": lambda m: m.Pair.length(row(1)),
    "a property": lambda m: m.Pair(row(2), row(2)).wide,
    "a property of another shape": lambda m: m.Pair(row(1), row(1)).wide,
    "a method that calls others": lambda m: m.Pair(row(1), row(1)).mixed(row(3)),
}
REFUSED = {
    *("two sizes of one name", "two dimensions", "another type", "no array", "another type is returned", "no number"),
    *("an argument too many", "an argument too few", "a generator of no array", "a list of none", "rows of two sizes"),
    *("a keyword of another type", "no arrays, another type is returned", "no arrays, another type is given"),
    *("a dataclass of two sizes", "a class method that makes two sizes", "a static method that returns another type"),
    "a property of another shape",
}


@pytest.fixture(params=["ours", "jaxtyping's"])
def example(request: pytest.FixtureRequest, tmp_path: Path) -> ModuleType:
    """The module above, checked by one of the two."""
    decorator = checked if request.param == "ours" else own_jaxtyped(typechecker=beartype)
    (tmp_path / "example.py").write_text(EXAMPLE)
    spec = importlib.util.spec_from_file_location("example_of_shapes", tmp_path / "example.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    module.CHECKED = decorator  # type: ignore[attr-defined]
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[spec.name]
    return module


@pytest.mark.parametrize("call", CALLS)
def test_both_refuse_the_same_calls(example: ModuleType, call: str) -> None:
    """Those named above, whoever checks."""
    refusals = (TypeError, BeartypeCallHintViolation, jaxtyping.TypeCheckError)
    with pytest.raises(refusals) if call in REFUSED else nullcontext():
        CALLS[call](example)


def test_the_library_is_checked() -> None:
    """Its functions refuse another shape in every test."""
    with pytest.raises(BeartypeCallHintViolation, match="luma_of"):
        luma_of(np.zeros((2, 2), np.uint8))
