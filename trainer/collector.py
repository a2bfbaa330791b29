"""Frames into windows: every record is examined once, and kept, counted or skipped; nothing here waits for a build."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import structlog

from ingest.bank_state import ViewState
from ingest.frame import BadFrame, frame_of_record
from softpatch.images.decode import UndecodableImage
from softpatch.images.input_faults import InputFault
from softpatch.images.statistics import difference_hash as hash_of
from trainer.input_check import fault_of, run_with, run_with_bytes, too_long
from trainer.modes import mode_full, mode_of
from trainer.owned_views import LearntElsewhere, TooManyViews
from trainer.window import Admission, KeptFrame, admission, holds_bytes, kept, passed, without, without_repeats
from trainer.window_store import NewFrame

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.bank_state import BankState
    from ingest.claims import Claims
    from ingest.decoding import FrameDecoder
    from ingest.frame import Frame
    from ingest.kafka.records import Record
    from ingest.store import StoreError
    from monitoring.metrics import TrainerMetrics
    from softpatch.images.input_faults import InputBaseline
    from trainer.owned_views import OwnedView, OwnedViews
    from trainer.window import FrozenRunState
    from trainer.window_store import WindowStore

log = structlog.get_logger(__name__)

NO_VIEW = ""
"""The label of a frame so broken that it names no view."""
COMPLAIN_SECONDS = 30.0


class Collector:
    """Takes records of `frames` into the windows of the owned views."""

    def __init__(
        self,
        views: OwnedViews,
        windows: WindowStore,
        metrics: TrainerMetrics,
        *,
        baseline_of: Callable[[BankState], InputBaseline],
        decoder: FrameDecoder,
        claims: Claims,
        first_topic: str,
        clock: Callable[[], float],
    ) -> None:
        """`baseline_of`: how the frames of a view in this state look when nothing is wrong with its camera.

        `decoder`: with the limits that inference has, so that what it cannot decode is skipped here. `first_topic`: of
        frames, see `ingest.frame.parse_frame`.
        """
        self._first_topic = first_topic
        self._baseline_of = baseline_of
        self._decoder = decoder
        self._claims = claims
        self._views = views
        self._windows = windows
        self._metrics = metrics
        self._clock = clock
        self._complained_at = -COMPLAIN_SECONDS
        self._unwritten: list[NewFrame] = []

    def take(self, record: Record) -> None:
        """Take one record into account; `settle` writes its file. The position of its partition is behind it then."""
        frame = _frame_in(record, self._first_topic)
        if frame is None:
            self._skip(NO_VIEW, "bad_frame")
        else:
            self._take_frame(frame)
        self._views.positions[record.topic_partition] = record.offset + 1

    def _take_frame(self, frame: Frame) -> None:
        try:
            view = self._views.opened(frame.view, partition=frame.source.topic_partition, at_ms=frame.appended_ms)
        except TooManyViews:
            self._skip(NO_VIEW, "too_many_views")
        except LearntElsewhere:
            self._skip(NO_VIEW, "other_partition")
            self._metrics.partition_changes.inc()
        else:
            view.heard(self._clock())
            if view.index.seen and view.index.home_partition != frame.source.topic_partition:
                self._metrics.partition_changes.inc()
            self._offer(frame, view)

    def pass_over(self, record: Record) -> None:
        """Go on behind a record that cannot be taken."""
        self._views.positions[record.topic_partition] = record.offset + 1

    def settle(self) -> None:
        """Write the files of what was taken since the last time; before that no index may be written.

        A frame that finds no room leaves the window again: the line goes on, and so do the other frames.
        """
        unwritten, self._unwritten = self._unwritten, []
        without_room = self._windows.keep(unwritten)
        for frame, error in without_room:
            self._complain(frame.view, error)
            self._drop(frame)
        lost = {id(frame) for frame, _ in without_room}
        for frame in unwritten:
            if id(frame) not in lost:
                self._metrics.frames_collected.labels(view=frame.view).inc()

    def _offer(self, frame: Frame, view: OwnedView) -> None:
        verdict = admission(view.index, frame.source, frame_id=frame.frame_id)
        if verdict is Admission.REPLAYED:
            return
        if view.state.state is ViewState.HELD:
            self._pass_by(frame, view, "held")
        elif verdict is Admission.DUPLICATE:
            self._pass_by(frame, view, "duplicate")
        elif verdict is Admission.THINNED:
            self._pass_by(frame, view, "thinned", counted=True)
        else:
            self._examine(frame, view)

    def _examine(self, frame: Frame, view: OwnedView) -> None:
        try:
            frame = self._claims.filled(frame)
        except BadFrame:
            self._pass_by(frame, view, "bad_frame")
            return
        sha256 = hashlib.sha256(frame.encoded).hexdigest()
        if holds_bytes(view.index, sha256):
            self._repeated(frame, view, run_with_bytes(view.index, sha256))
            return
        baseline = self._baseline_of(view.state)
        geometry = view.training.build.measured_geometry
        if geometry.bit_depth is None:
            geometry = geometry.model_copy(update={"bit_depth": baseline.bit_depth})
        try:
            shaped = self._decoder.shaped(frame.encoded, geometry, view=view.name)
        except UndecodableImage:
            self._pass_by(frame, view, "bad_frame")
            return
        pixels, inspected = shaped.pixels, geometry.inspected(shaped.size_wh_px)
        run = run_with(view.index, pixels, sha256, baseline)
        fault = fault_of(pixels, run, view.training, baseline, inspected=inspected)
        if fault is None:
            self._offer_to_mode(frame, view, sha256, run, difference_hash=f"{hash_of(pixels):016x}")
        elif fault is InputFault.FROZEN:
            self._repeated(frame, view, run)
        else:
            self._pass_by(frame, view, fault.value)

    def _repeated(self, frame: Frame, view: OwnedView, run: FrozenRunState | None) -> None:
        """A frame that shows what the window shows already: of a run of many, only the first stays."""
        if run is not None and too_long(run, view.training):
            view.change_window(without_repeats(view.index, run))
            self._pass_by(frame, view, InputFault.FROZEN.value)
        else:
            view.change_window(view.index.model_copy(update={"run": run}))
            self._pass_by(frame, view, "duplicate")

    def _offer_to_mode(
        self, frame: Frame, view: OwnedView, sha256: str, run: FrozenRunState, *, difference_hash: str
    ) -> None:
        mode = mode_of(view.index.frames, difference_hash)
        if mode_full(view.index, mode, cap_ratio=view.training.mode_cap_ratio):
            view.change_window(view.index.model_copy(update={"run": run}))
            self._pass_by(frame, view, "mode_full")
        else:
            self._keep(frame, view, sha256, run, difference_hash=difference_hash, mode=mode)

    def _keep(
        self, frame: Frame, view: OwnedView, sha256: str, run: FrozenRunState, *, difference_hash: str, mode: str | None
    ) -> None:
        entry = KeptFrame(
            topic=view.index.other_topic(frame.source.topic),
            partition=frame.source.partition,
            offset=frame.source.offset,
            number=view.index.seen,
            frame_id=frame.frame_id,
            sha256=sha256,
            size_bytes=len(frame.encoded),
            appended_ms=frame.appended_ms,
            difference_hash=difference_hash,
            mode=mode,
        )
        if run.repeats:
            run = run.model_copy(update={"kept": (*run.kept, entry.name)})
        change = kept(view.index.model_copy(update={"run": run}), entry, view.bounds)
        view.change_window(change)
        if change.write is not None:
            self._unwritten.append(NewFrame(view.name, entry, frame.encoded))

    def _pass_by(self, frame: Frame, view: OwnedView, reason: str, *, counted: bool = False) -> None:
        view.change_window(passed(view.index, frame.source, counted=counted))
        self._skip(view.name, reason)

    def _skip(self, view: str, reason: str) -> None:
        self._metrics.frames_skipped.labels(view=view, reason=reason).inc()

    def _drop(self, frame: NewFrame) -> None:
        view = self._views.get(frame.view)
        if view is not None:
            view.change_window(without(view.index, frozenset({frame.kept.name})))

    def _complain(self, view: str, error: StoreError) -> None:
        """A full disk would say so for every frame."""
        if self._clock() - self._complained_at >= COMPLAIN_SECONDS:
            self._complained_at = self._clock()
            log.error("window_does_not_grow", view=view, detail=str(error))


def _frame_in(record: Record, first_topic: str) -> Frame | None:
    """The frame, or None for what becomes a dead letter: inference writes those."""
    try:
        return frame_of_record(record, first_topic)
    except BadFrame:
        return None
