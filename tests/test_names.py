"""One name, one meaning: no public class or type alias is defined twice in the packages."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PACKAGES = ("softpatch", "ingest", "trainer", "inference", "monitoring", "deploy")
OPTIONS = Path("deploy/commands")
"""Its aliases are options of one command, named as the command calls them."""


def named_types(source: str, *, aliases: bool = True) -> Iterator[str]:
    """The public classes of a module, nested ones included, and its public CamelCase aliases at module level."""
    tree = ast.parse(source)
    yield from (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and is_public(node.name))
    if aliases:
        yield from (name for name in _assigned(tree.body) if is_public(name) and is_camel_case(name))


def is_public(name: str) -> bool:
    """Whether other modules may use it."""
    return not name.startswith("_")


def is_camel_case(name: str) -> bool:
    """Whether it is written like a type: neither a CONSTANT nor a variable."""
    return name[0].isupper() and not name.isupper()


def repeated(names: dict[str, list[str]]) -> dict[str, list[str]]:
    """Those that several modules define."""
    return {name: modules for name, modules in sorted(names.items()) if len(modules) > 1}


def _assigned(body: list[ast.stmt]) -> Iterator[str]:
    """Names assigned at module level, also below `if TYPE_CHECKING`."""
    for statement in body:
        if isinstance(statement, ast.If):
            yield from _assigned(statement.body)
        targets = statement.targets if isinstance(statement, ast.Assign) else ()
        if isinstance(statement, ast.AnnAssign):
            targets = (statement.target,)
        yield from (target.id for target in targets if isinstance(target, ast.Name))


@pytest.mark.slow
def test_no_public_type_is_defined_twice() -> None:
    """Eighteen class names meant two or three things each: whoever read one had to find out which."""
    names: dict[str, list[str]] = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            module = path.relative_to(ROOT)
            source = path.read_text(encoding="utf-8")
            for name in named_types(source, aliases=module.parent != OPTIONS):
                names[name].append(str(module))
    assert len(names) > 200  # else the packages were not found
    assert repeated(names) == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("class A: pass\nclass A: pass", ["A", "A"]),
        ("class A:\n    class B: pass\nclass _C: pass", ["A", "B"]),
        ("Clock = Callable[[], float]\nLIMIT = 3\nlog = get()\n_T = TypeVar('_T')", ["Clock"]),
        ("Clock: TypeAlias = int\nif TYPE_CHECKING:\n    Box = tuple[int, int]", ["Clock", "Box"]),
    ],
)
def test_classes_and_aliases_are_found(source: str, expected: list[str]) -> None:
    """However they are written; constants, variables and private names are none."""
    assert list(named_types(source)) == expected


def test_a_second_definition_is_found_with_its_modules() -> None:
    """The failure says where to look."""
    assert repeated({"A": ["x.py", "y.py"], "B": ["x.py"]}) == {"A": ["x.py", "y.py"]}
