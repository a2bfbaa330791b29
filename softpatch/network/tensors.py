"""A tensor of PyTorch, named where torch may not be installed."""

from typing import Any

Tensor = Any
"""torch has no types where it is not installed, and it is imported only where it is used: 3 s and 300 MB."""
