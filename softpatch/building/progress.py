"""How a build reports its progress."""

from collections.abc import Callable

BuildProgress = Callable[[str, int, int], None]
"""(stage, done, total), called from the thread that builds; stages are embed, denoise, subsample and calibrate."""

StageProgress = Callable[[int, int], None]
"""(done, total) of one stage."""


def silent(_stage: str, _done: int, _total: int) -> None:
    """Report nothing."""
