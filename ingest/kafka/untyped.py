"""A name for what the type checker cannot see."""

from typing import Any, TypeAlias

Untyped: TypeAlias = Any
"""An object of kafka-python, which has no annotations; it never leaves this package."""
