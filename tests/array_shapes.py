"""Array shapes checked while tests run: beartype looks at each call once.

jaxtyping's own wrapper binds a call's arguments to the signature and checks them twice, so that its messages say more:
a sixth of what the tests take. Both refuse the same calls; tests/test_array_shapes.py compares them.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from typing import TYPE_CHECKING, Any

import jaxtyping
from beartype import beartype

if TYPE_CHECKING:
    from collections.abc import Callable

own_jaxtyped = jaxtyping.jaxtyped


def check_array_shapes(*packages: str) -> None:
    """Check every annotated function and dataclass of these packages from now on; none of them is imported yet."""
    jaxtyping.jaxtyped = jaxtyped  # what the import hook's decorators call
    jaxtyping.install_import_hook(list(packages), "beartype.beartype")


def jaxtyped(*, typechecker: object) -> Callable[[Any], Any]:  # noqa: ARG001 -- as the hook calls it: always beartype
    """The decorator that the import hook writes before every function and class."""
    return checked


def checked(subject: Any) -> Any:  # noqa: ANN401 -- a decorator of anything
    """A function that checks its arguments and what it returns, names of dimensions included; a dataclass likewise."""
    if inspect.isclass(subject):
        if dataclasses.is_dataclass(subject) and "__init__" in vars(subject):
            subject.__init__ = checked(subject.__init__)
        return subject
    if isinstance(subject, (classmethod, staticmethod)):
        return type(subject)(checked(subject.__func__))
    if isinstance(subject, property):
        accessors = (subject.fget, subject.fset, subject.fdel)
        return property(*(each and checked(each) for each in accessors))
    annotations = inspect.get_annotations(subject).values()
    if inspect.isgeneratorfunction(subject) or any(isinstance(each, str) for each in annotations):
        # It leaves out a name that says nothing yet, and looks at a generator's arguments before the first value.
        return own_jaxtyped(subject, typechecker=beartype)
    return _with_own_dimensions(beartype(subject)) if "jaxtyping." in repr(annotations) else beartype(subject)


def _with_own_dimensions(function: Callable[..., Any]) -> Callable[..., Any]:
    """The names of one call's dimensions are no other's."""

    @functools.wraps(function)
    def wrapped(*arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401
        with own_jaxtyped("context"):
            return function(*arguments, **keywords)

    return wrapped
