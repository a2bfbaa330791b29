"""Frames that annotations keep in the store: written before a state names them, deleted when none does any more."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from ingest.store import NotInStore
from ingest.store_layout import annotation_folder
from trainer.transition import NewFile

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ingest.bank_state import BankState
    from ingest.store import Store
    from trainer.transition import FileCopy

log = structlog.get_logger(__name__)


class AnnotationStore:
    """The exemplars of all views. Methods raise StoreError where the store does not do its part."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def write(self, files: Iterable[NewFile | FileCopy]) -> None:
        """Put files where a state is to name them; a copy of a frame that is gone is left out."""
        for file in files:
            if isinstance(file, NewFile):
                self._store.put(file.path, file.data)
            else:
                self._copy(file)

    def tidy(self, state: BankState) -> int:
        """Delete the frames that no annotation of the state names; returns how many."""
        named = {exemplar.path for annotation in state.annotations for exemplar in annotation.exemplars}
        strays = [path for path in self._store.paths(annotation_folder(state.view)) if path not in named]
        for path in strays:
            with suppress(NotInStore):  # what matters is that it is gone
                self._store.delete(path)
        return len(strays)

    def _copy(self, file: FileCopy) -> None:
        try:
            self._store.put(file.path, self._store.get(file.copy_of))
        except NotInStore:
            log.warning("exemplar_not_kept", path=file.path, detail=f"{file.copy_of} is gone")
