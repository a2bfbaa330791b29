"""Frames scored by a bank that is only being tried, beside the bank in force: a sample, at best effort.

The worker offers it the frames it has just decided and lets it score one whenever no frame waits; under load none is,
and what does not fit into the short queue is dropped, the oldest first. Decisions are those of the inspection on the
same facts, but for the bank; they are published on `decisions.shadow` without a transaction.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import structlog

from inference.decide import decide
from inference.scoring import StageClock
from ingest.decision import VerdictInForce
from ingest.frame import BadFrame
from ingest.kafka.errors import SendFailed
from ingest.kafka.records import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable

    from inference.banks import ActiveBanks
    from inference.decide import DecisionFacts
    from inference.scoring import FrameScoring
    from ingest.decision import Decision
    from monitoring.metrics import InferenceMetrics

log = structlog.get_logger(__name__)

ROOM = 16
"""Frames that wait for their second score at most: they keep their pictures in memory."""
COMPLAIN_EVERY = 100


class Sender(Protocol):
    """Where shadow decisions go."""

    def send(self, outgoing: Outgoing) -> object:
        """Hand one over. Raises SendFailed."""
        ...


@dataclass(frozen=True)
class _Waiting:
    facts: DecisionFacts
    live: Decision
    partition: int


class ShadowScoring:
    """Scores by the banks in shadow. One thread only, the worker's."""

    def __init__(
        self,
        scoring: FrameScoring,
        banks: ActiveBanks,
        sender: Sender,
        *,
        topic: str,
        metrics: InferenceMetrics,
        clock: Callable[[], float],
        room: int = ROOM,
    ) -> None:
        self._scoring = scoring
        self._banks = banks
        self._sender = sender
        self._topic = topic
        self._metrics = metrics
        self._clock = clock
        self._room = room
        self._queue: deque[_Waiting] = deque()
        self._failed = 0

    @property
    def waiting(self) -> bool:
        """Whether a frame waits for its second score."""
        return bool(self._queue)

    def offer(self, facts: DecisionFacts, live: Decision, *, partition: int, every: int) -> None:
        """Remember a frame that was decided, where its view has a bank in shadow and it is one of the sample.

        A repeated frame, and one without a score, says nothing of the two banks. `every`: one frame in so many.
        """
        if live.score is None or live.duplicate_of is not None or facts.frame.source.offset % every:
            return
        if self._banks.shadow(live.view) is None:
            return
        if len(self._queue) == self._room:
            self._metrics.shadow_dropped.labels(view=self._queue.popleft().live.view).inc()
        self._queue.append(_Waiting(facts, live, partition))

    def score_one(self) -> None:
        """Score the frame that waits longest, and publish its decision; a fault costs this frame alone."""
        one = self._queue.popleft()
        try:
            decision = self._decided(one)
        except Exception:
            log.exception("shadow_not_scored", source=str(one.live.source))
            decision = None
        if decision is None or not self._sent(decision, one):
            self._metrics.shadow_dropped.labels(view=one.live.view).inc()
        else:
            self._metrics.shadow_scored.labels(view=one.live.view).inc()

    def _decided(self, one: _Waiting) -> Decision | None:
        serving = self._banks.shadow(one.live.view)
        if serving is None:  # promoted or refused meanwhile
            return None
        (found,) = self._scoring.inspect([one.facts.frame], [serving], StageClock(self._clock))
        if isinstance(found, BadFrame) or found.evidence is None:
            return None
        facts = replace(
            one.facts,
            status=serving.in_force,
            seen=found.seen,
            evidence=found.evidence,
            stage_seconds=found.stage_seconds,
        )
        live = one.live
        beside = VerdictInForce(verdict=live.verdict, reason=live.reason, score_ratio=live.score_ratio, bank=live.bank)
        return decide(facts).model_copy(update={"in_force": beside})

    def _sent(self, decision: Decision, one: _Waiting) -> bool:
        outgoing = Outgoing(self._topic, one.facts.frame.key.encode(), decision.to_bytes(), partition=one.partition)
        try:
            self._sender.send(outgoing)
        except SendFailed as error:
            if self._failed % COMPLAIN_EVERY == 0:
                log.warning("shadow_not_published", cause=str(error), failed=self._failed + 1)
            self._failed += 1
            return False
        return True
