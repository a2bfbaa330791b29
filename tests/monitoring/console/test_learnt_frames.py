"""The frames that a bank was learnt from, where the store keeps them no more: out of Kafka, each from its topic."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ingest.kafka.settings import KafkaSettings
from ingest.store import FsspecStore
from ingest.store_layout import frame_path
from monitoring.console.pictures import ConsolePictures, KafkaPictures, RecentBanks
from tests.ingest.no_claims import NO_CLAIMS
from tests.monitoring.watch.banks_in_store import calibrated_bank

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.contract import SourceRecord


class Asked(KafkaPictures):
    """Gives the place that it was asked for."""

    def __init__(self) -> None:
        super().__init__(KafkaSettings(), NO_CLAIMS)

    def encoded(self, source: SourceRecord, view: str) -> bytes | None:
        """Its name."""
        del view
        return str(source).encode()


def test_a_frame_is_fetched_from_the_topic_that_the_bank_says(tmp_path: Path) -> None:
    """The window's, where it says none; the store is asked first, by the same name."""
    bank = calibrated_bank(0)
    frames = {"here": [2, 7], "there": [2, 7, "cell-4"], "kept": [3, 9, "cell-4"]}
    manifest = bank.manifest.model_copy(update={"provenance": {"topic": "frames", "frames": frames}})
    bank = replace(bank, manifest=manifest)
    store = FsspecStore.open(str(tmp_path))
    store.put(frame_path(manifest.view, 3, 9, "cell-4"), b"a picture")
    pictures = ConsolePictures(store, RecentBanks(store), Asked())
    found = [pictures.learnt_frame(bank, name) for name in (*frames, "unknown")]
    assert found == [b"frames:2:7", b"cell-4:2:7", b"a picture", None]
