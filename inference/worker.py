"""The thread that scores."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from inference.handoff_queue import HandoffQueue
    from inference.inspector import Inspector
    from inference.shadow import ShadowScoring

LEAVE_SECONDS = 5.0
"""For the batch under way when the service ends; the process does not wait longer for a network that hangs."""


class Worker:
    """The thread that scores, while it is entered: a batch is whatever waits when the one before is done."""

    def __init__(
        self,
        handoff: HandoffQueue,
        inspector: Inspector,
        *,
        batch_frames: int,
        shadow: ShadowScoring | None = None,
    ) -> None:
        """`shadow` scores what it has whenever no frame waits."""
        self._handoff = handoff
        self._inspector = inspector
        self._batch_frames = batch_frames
        self._shadow = shadow
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._run, name="worker", daemon=True)

    def check(self) -> None:
        """Raises what ended the worker, if something did."""
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._handoff.close()
        self._thread.join(LEAVE_SECONDS)

    def _run(self) -> None:
        try:
            while (batch := self._handoff.take(self._batch_frames)) is not None:
                self._handoff.answer(self._inspector.inspect(batch))
                self._score_in_shadow()
        except BaseException as error:  # noqa: BLE001 -- carried to the loop's thread, which raises it
            self._failure = error

    def _score_in_shadow(self) -> None:
        """One frame at a time, as long as no other waits."""
        while self._shadow is not None and self._shadow.waiting and not self._handoff.waiting:
            self._shadow.score_one()
