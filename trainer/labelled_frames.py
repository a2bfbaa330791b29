"""The frames that a build has a label for, read from the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from ingest.store import NotInStore
from softpatch.building.labels import LabelledFrames

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ingest.store import Store
    from trainer.build_order import AnnotationOrder

log = structlog.get_logger(__name__)


def labelled_frames(store: Store, annotations: Sequence[AnnotationOrder]) -> list[LabelledFrames]:
    """What is known of the view, with the frames that show it; a frame whose file is gone is left out."""
    return [
        LabelledFrames(each.id, each.label, each.origin, each.box_xyxy, tuple(_frames_in(store, each)))
        for each in annotations
    ]


def _frames_in(store: Store, annotation: AnnotationOrder) -> Iterator[bytes]:
    for path in annotation.frames:
        try:
            yield store.get(path)
        except NotInStore:
            log.warning("exemplar_missing", annotation=annotation.id, path=path)
