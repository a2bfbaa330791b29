"""What people may do on the console."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Each may do what those before it may."""

    VIEWER = "viewer"
    """Look."""
    OPERATOR = "operator"
    """Say of frames and groups what they show."""
    ENGINEER = "engineer"
    """Put banks in force and back."""

    def includes(self, other: Role) -> bool:
        """Whether it may do all that the other may."""
        order = list(Role)
        return order.index(self) >= order.index(other)
