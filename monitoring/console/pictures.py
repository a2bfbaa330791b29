"""The pictures that pages show: frames from the store, or from Kafka while it has them, with heat laid over them."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
import structlog

from ingest.contract import SourceRecord
from ingest.frame import BadFrame, frame_of_record
from ingest.kafka.errors import KafkaFailure
from ingest.kafka.record_fetcher import RecordFetcher
from ingest.store import NotInStore, StoreError
from ingest.store_layout import bank_path, frame_path, picture_path, thumbnail_path
from monitoring.heat_map import decision_heat
from monitoring.record.pictures import picture, small_jpeg
from monitoring.record.schema import PictureState
from softpatch.bank import Bank, InvalidBank, bank_from_bytes

if TYPE_CHECKING:
    from ingest.claims import Claims
    from ingest.decision import Decision
    from ingest.kafka.settings import KafkaSettings
    from ingest.store import Store
    from monitoring.record.queries import RecordedDecision
    from softpatch.images.geometry import FrameGeometry

log = structlog.get_logger(__name__)

FETCH_SECONDS = 5.0
SMALL_PX = 320
LARGE_PX = 1600
"""A browser is sent no larger picture."""
HEAT_PX = 480
BANKS_KEPT, SMALL_KEPT, GEOMETRIES_KEPT = 12, 400, 1000
CONTEXT_CELLS = 2.0
"""A patch is shown with so many cells around it."""
FULL_HEAT = 1.8
"""The score ratio that is drawn at full strength."""
FAINT_HEAT = 0.9
"""Below it nothing is drawn: good parts lie there."""


class NoPicture(Exception):
    """There is no picture to show; `why` says why, as the catalogue's texts on pictures name it."""

    def __init__(self, why: PictureState | Literal["not_learnt_from"]) -> None:
        super().__init__(str(why))
        self.why = str(why)


class KafkaPictures:
    """Frames that Kafka still has, fetched one at a time. Any thread may use it."""

    def __init__(self, settings: KafkaSettings, claims: Claims) -> None:
        self._settings = settings
        self._claims = claims
        self._fetcher: RecordFetcher | None = None
        self._lock = Lock()

    def encoded(self, source: SourceRecord, view: str) -> bytes | None:
        """The frame of a view at this place; None where Kafka has none, or does not answer."""
        with self._lock:
            try:
                if self._fetcher is None:
                    self._fetcher = RecordFetcher.open(self._settings, give_up_seconds=FETCH_SECONDS)
                (record,) = self._fetcher.fetch(source.topic_partition, [source.offset], timeout_seconds=FETCH_SECONDS)
            except KafkaFailure as error:
                log.warning("frame_not_fetched", source=str(source), cause=str(error))
                return None
        try:
            frame = None if record is None else frame_of_record(record, self._settings.topic("frames"))
            return self._claims.encoded(frame) if frame is not None and frame.view == view else None
        except BadFrame:
            return None

    def close(self) -> None:
        """Disconnect."""
        with self._lock:
            if self._fetcher is not None:
                self._fetcher.close()


class RecentBanks:
    """Banks of the store, the last few kept in memory. Any thread may use it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[tuple[str, str], Bank | None] = OrderedDict()
        self._lock = Lock()

    def get(self, view: str, version: str) -> Bank | None:
        """The bank; None where the store has none that can be read."""
        key = (view, version)
        with self._lock:
            if key not in self._kept:
                try:
                    self._kept[key] = bank_from_bytes(self._store.get(bank_path(view, version)))
                except (StoreError, InvalidBank):
                    return None
                if len(self._kept) > BANKS_KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]


class ConsolePictures:
    """Every picture of the console. Any thread may use it."""

    def __init__(self, store: Store, banks: RecentBanks, kafka: KafkaPictures | None) -> None:
        """Without `kafka` there are those of the store alone."""
        self._store = store
        self._banks = banks
        self._kafka = kafka
        self._small: OrderedDict[str, bytes] = OrderedDict()
        self._geometries: OrderedDict[tuple[str, str], FrameGeometry] = OrderedDict()

    def frame(self, found: RecordedDecision) -> bytes:
        """The frame as a JPEG that a browser shows. Raises NoPicture."""
        return shown(self.encoded(found), LARGE_PX, self._geometry(found.decision))

    def small(self, found: RecordedDecision) -> bytes:
        """The same, small. Raises NoPicture."""
        decision = found.decision
        if found.picture is PictureState.KEPT:
            try:
                small = self._store.get(thumbnail_path(decision.view, decision.decided_at, decision.id))
            except NotInStore:
                pass
            else:
                return self._outlined(small, decision)
        if decision.id not in self._small:
            self._small[decision.id] = shown(self.encoded(found), SMALL_PX, self._geometry(decision))
            if len(self._small) > SMALL_KEPT:
                self._small.popitem(last=False)
        return self._small[decision.id]

    def encoded(self, found: RecordedDecision) -> bytes:
        """The frame as it came. Raises NoPicture."""
        decision = found.decision
        if found.picture is PictureState.KEPT:
            try:
                return self._store.get(picture_path(decision.view, decision.decided_at, decision.id))
            except NotInStore:
                raise NoPicture(PictureState.EXPIRED) from None
        if self._kafka is not None and found.picture is not PictureState.EXPIRED:
            encoded = self._kafka.encoded(decision.source, decision.view)
            if encoded is not None:
                return encoded
        raise NoPicture(found.picture)

    def heat(self, decision: Decision) -> bytes:
        """The map of scores as a PNG to lay over the frame: clear where the frame is like the bank."""
        width, height = decision.size_wh_px or (HEAT_PX, HEAT_PX)
        scale = HEAT_PX / max(width, height)
        size_wh = max(1, round(width * scale)), max(1, round(height * scale))
        bank = self._banks.get(decision.view, decision.bank.version) if decision.bank else None
        if bank is not None:
            ratios = decision_heat(decision, bank.manifest.geometry, size_wh)
        elif decision.anomaly_map is not None and decision.threshold is not None:
            scores = decision.anomaly_map.scores() / decision.threshold
            ratios = np.asarray(cv2.resize(scores, size_wh, interpolation=cv2.INTER_CUBIC), np.float32)
        else:
            ratios = np.zeros(size_wh[::-1], np.float32)
        return heat_png(ratios)

    def worst_patch(self, found: RecordedDecision) -> bytes:
        """The patch of the frame that scored most, with its surroundings. Raises NoPicture."""
        decision = found.decision
        if decision.anomaly_map is None:
            raise NoPicture(found.picture)
        scores = decision.anomaly_map.scores()
        row, column = (int(each) for each in np.unravel_index(int(scores.argmax()), scores.shape))
        return self._patch(decision, self.encoded(found), (row, column))

    def nearest_patch(self, decision: Decision) -> bytes:
        """The bank's patch that it is nearest to, on the frame it was learnt from. Raises NoPicture."""
        if decision.nearest is None or decision.bank is None:
            raise NoPicture("not_learnt_from")
        bank = self._banks.get(decision.view, decision.bank.version)
        encoded = None if bank is None else self.learnt_frame(bank, decision.nearest.source_frame)
        if encoded is None:
            raise NoPicture("not_learnt_from")
        return self._patch(decision, encoded, (decision.nearest.row, decision.nearest.column))

    def learnt_frame(self, bank: Bank, name: str) -> bytes | None:
        """A frame that a bank was learnt from: out of the bank, the store's window, or Kafka; None: none has it."""
        names = bank.manifest.frame_names
        for place, frame in enumerate(bank.probe_frames.tolist()):
            if names[frame] == name:
                return bank.probes[place]
        provenance = bank.manifest.provenance
        at = (provenance.get("frames") or {}).get(name)
        if at is None:
            return None
        try:
            return self._store.get(frame_path(bank.manifest.view, *at))
        except StoreError:
            source = SourceRecord.from_provenance(at, provenance["topic"])
            return None if self._kafka is None else self._kafka.encoded(source, bank.manifest.view)

    def _geometry(self, decision: Decision) -> FrameGeometry | None:
        """By which the frame was looked at; None where no bank says it."""
        if decision.bank is None:
            return None
        key = (decision.view, decision.bank.version)
        if key not in self._geometries:
            bank = self._banks.get(*key)
            if bank is None:
                return None
            self._geometries[key] = bank.manifest.geometry
            if len(self._geometries) > GEOMETRIES_KEPT:
                self._geometries.popitem(last=False)
        return self._geometries[key]

    def _outlined(self, small: bytes, decision: Decision) -> bytes:
        """A picture that the recorder made small, with the outlines of regions, where the view has some."""
        geometry = self._geometry(decision)
        if geometry is None or geometry.regions is None:
            return small
        return shown(small, SMALL_PX, geometry, frame_wh=decision.size_wh_px)

    def file(self, path: str, longer_px: int = SMALL_PX) -> bytes:
        """A frame by its path in the store, as a JPEG. Raises NoPicture."""
        try:
            return shown(self._store.get(path), longer_px)
        except StoreError:
            raise NoPicture(PictureState.EXPIRED) from None

    def _patch(self, decision: Decision, encoded: bytes, cell: tuple[int, int]) -> bytes:
        bank = self._banks.get(decision.view, decision.bank.version) if decision.bank else None
        image = None if bank is None else picture(encoded, bit_depth=bank.manifest.geometry.bit_depth)
        if image is None or bank is None:
            raise NoPicture(PictureState.MISSING)
        geometry, (rows, columns) = bank.manifest.geometry, bank.manifest.grid
        cell_px = geometry.width_px / columns, geometry.height_px / rows
        row, column = cell

        def box(margin: float) -> tuple[int, int, int, int]:
            on_input = (
                int((column - margin) * cell_px[0]),
                int((row - margin) * cell_px[1]),
                int((column + 1 + margin) * cell_px[0]),
                int((row + 1 + margin) * cell_px[1]),
            )
            return geometry.source_box(on_input, (image.shape[1], image.shape[0]))

        left, top, right, bottom = box(CONTEXT_CELLS)
        inner = box(0.0)
        if right <= left or bottom <= top:
            raise NoPicture(PictureState.MISSING)
        return marked_crop(image[top:bottom, left:right], [a - b for a, b in zip(inner, (left, top) * 2, strict=True)])


def shown(
    encoded: bytes,
    longer_px: int,
    geometry: FrameGeometry | None = None,
    *,
    frame_wh: tuple[int, int] | None = None,
) -> bytes:
    """A picture as a JPEG of a limited size. Raises NoPicture where it is none.

    With a bank's geometry it is read as by the bank, and the view's regions are drawn; `frame_wh` is the size of the
    frame where the picture has another.
    """
    image = picture(encoded, bit_depth=None if geometry is None else geometry.bit_depth)
    if image is None:
        raise NoPicture(PictureState.MISSING)
    if geometry is not None and geometry.regions is not None:
        rgb = np.ascontiguousarray(image[..., ::-1])
        image = geometry.outlined(rgb, frame_wh or (image.shape[1], image.shape[0]))[..., ::-1]
    small = small_jpeg(np.ascontiguousarray(image), longer_px=longer_px)
    if small is None:
        raise NoPicture(PictureState.MISSING)
    return small


def heat_png(ratios: np.ndarray) -> bytes:
    """Score ratios (float, [rows, columns]) in inferno, which the colour-blind read by its lightness."""
    strength = np.clip((ratios - FAINT_HEAT) / (FULL_HEAT - FAINT_HEAT), 0.0, 1.0)
    colours = cv2.applyColorMap((80 + 175 * strength).astype(np.uint8), cv2.COLORMAP_INFERNO)
    alpha = (255 * np.sqrt(strength)).astype(np.uint8)
    return png_of(np.dstack([colours, alpha]))


def marked_crop(crop: np.ndarray, box_xyxy: list[int], *, side_px: int = 320) -> bytes:
    """A crop, enlarged to a common size, with a frame around a box of it."""
    scale = side_px / max(crop.shape[:2])
    large = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    left, top, right, bottom = (round(each * scale) for each in box_xyxy)
    cv2.rectangle(large, (left, top), (right, bottom), (20, 20, 20), 4)
    cv2.rectangle(large, (left, top), (right, bottom), (255, 255, 255), 2)
    return png_of(large)


def png_of(image: np.ndarray) -> bytes:
    """A PNG."""
    done, png = cv2.imencode(".png", image)
    if not done:
        raise NoPicture(PictureState.MISSING)
    return bytes(png.tobytes())
