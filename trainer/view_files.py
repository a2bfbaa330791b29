"""All files of a view, to be removed with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.store_layout import annotation_folder, bank_folder, window_folder

if TYPE_CHECKING:
    from ingest.store import Store


class ViewFiles:
    """Window, annotations and banks of views. Raises StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def remove(self, view: str) -> None:
        """Delete all of them; a crash in the middle leaves files that nothing names, and the next try deletes them."""
        for folder in (window_folder(view), annotation_folder(view), bank_folder(view)):
            self._store.delete_folder(folder)
