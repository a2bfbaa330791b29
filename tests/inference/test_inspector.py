"""Records in, one answer each: on the real graph, with a real bank, without Kafka."""

from __future__ import annotations

import hashlib
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs

from inference.answer_sizes import AS_CREATED, AnswerSizes
from inference.bank_notices import BankNotices
from inference.banks import ActiveBanks, BankLoader
from inference.history import History
from inference.inspector import Destinations, FrameAnswer, Inspector, Queued
from inference.known_views import KnownViews
from inference.scoring import FrameScoring
from inference.settings import ViewInspection
from ingest.claims import Claims, ClaimSettings
from ingest.contract import SourceRecord
from ingest.dead_letter import DeadLetter, parse_dead_letter
from ingest.decision import Decision, Reason, Verdict
from ingest.decoding import FrameDecoder, ImageSettings
from ingest.frame import DeadLetterReason
from ingest.kafka.records import Unread
from softpatch.images.decode import decode
from softpatch.images.geometry import FrameGeometry
from softpatch.network.embed import OnnxEmbedder
from softpatch.scoring.score import FrameScore, Scorer
from softpatch.scoring.search import BruteSearch, FlatSearch
from tests.inference.sample_bank import (
    AT,
    VIEW,
    encoded,
    jpeg,
    picture,
    record,
    sample_bank,
    state,
    state_record,
    stored,
)
from tests.ingest.no_claims import NO_CLAIMS
from tests.ingest.pictures import scan_bomb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ingest.kafka.records import Record
    from ingest.store import FsspecStore
    from softpatch.bank import Bank
    from softpatch.network.embed import Embedder
    from softpatch.scoring.search import Search

INSPECTION = ViewInspection(dead_letter_cap_ratio=0.2, dead_letter_window_records=10)


def on_one_thread(vectors: np.ndarray) -> Search:
    """The CPU's search."""
    return FlatSearch(vectors, threads=1)


class Bench:
    """An inspector over a store, at a fixed moment."""

    def __init__(
        self,
        store: FsspecStore,
        embedder: Embedder,
        claims: Claims = NO_CLAIMS,
        make_search: Callable[[np.ndarray], Search] = on_one_thread,
    ) -> None:
        self.store = store
        self.now = AT
        self.largest = dict(AS_CREATED)
        self.seconds = 0.0
        self._pool = ThreadPoolExecutor(2)
        loader = BankLoader(store, embedder, make_search)
        self.banks = ActiveBanks(loader, BankNotices())
        self.inspector = Inspector(
            scoring=FrameScoring(
                embedder,
                pool=self._pool,
                decoder=FrameDecoder(ImageSettings(), workers=2, clock=time.monotonic),
                claims=claims,
                clock=time.monotonic,
            ),
            banks=self.banks,
            history=History(remembered_frame_ids=100),
            inspection_of=lambda _: INSPECTION,
            destinations=Destinations("decisions", "frames.dead-letter"),
            sizes=AnswerSizes(lambda: self.largest),
            views=KnownViews(most=3, forget_after_seconds=100, clock=lambda: self.seconds),
            clock=time.monotonic,
            now=lambda: self.now,
            first_topic="frames",
        )

    def put_in_force(self, bank: Bank, *, epoch: int = 1) -> str:
        """Serve the bank's view by it; returns its version."""
        in_force = stored(self.store, bank).in_force
        self.banks.take([state_record(state(in_force, epoch=epoch, view=bank.manifest.view))])
        return in_force.version

    def answers(self, *records: Record) -> list[FrameAnswer]:
        """One batch."""
        answered = self.inspector.inspect([Queued(each, time.monotonic()) for each in records])
        assert [answer.work.next_offset for answer in answered.answers] == [each.offset + 1 for each in records]
        return list(answered.answers)

    def decisions(self, *records: Record) -> list[Decision]:
        """One batch of which every record is decided, as its reader sees it."""
        return [decision_of(answer) for answer in self.answers(*records)]

    def close(self) -> None:
        """End the pool."""
        self._pool.shutdown()


def decision_of(answer: FrameAnswer) -> Decision:
    """The decision that goes out, read back."""
    (outgoing,) = answer.work.outgoing
    assert outgoing.topic == "decisions"
    assert outgoing.value is not None
    return Decision.from_bytes(outgoing.value)


def letter_of(answer: FrameAnswer) -> DeadLetter:
    """The dead letter that goes out, read back."""
    (outgoing,) = answer.work.outgoing
    assert outgoing.topic == "frames.dead-letter"
    return parse_dead_letter(key=outgoing.key, value=outgoing.value, headers=outgoing.headers)


@pytest.fixture
def bench(store: FsspecStore, embedder: OnnxEmbedder) -> Iterator[Bench]:
    """An inspector whose views are all learning."""
    opened = Bench(store, embedder)
    yield opened
    opened.close()


def test_good_parts_pass_and_defective_ones_fail_where_the_defect_is(bench: Bench, bank: Bank) -> None:
    """The scratch is drawn at x 32 to 48, y 32 to 64 of 96 px: the worst region overlaps it."""
    version = bench.put_in_force(bank, epoch=3)
    good, bad = bench.decisions(record(0, jpeg(1)), record(1, jpeg(2, defect=True)))
    assert (good.verdict, bad.verdict) == (Verdict.PASS, Verdict.FAIL)
    assert good.regions == ()
    x0, y0, x1, y1 = bad.regions[0].box_xyxy_px
    assert x0 < 48
    assert x1 > 32
    assert y0 < 64
    assert y1 > 32
    assert bad.regions[0].peak_ratio == pytest.approx(bad.score_ratio)
    assert bad.bank is not None
    assert (bad.bank.version, bad.bank.epoch) == (version, 3)
    assert bad.size_wh_px == (96, 96)
    assert bad.nearest is not None
    assert bad.nearest.source_frame.startswith("window-")
    assert bad.anomaly_map is not None
    assert bad.anomaly_map.maximum == pytest.approx(bad.score)
    assert set(bad.stage_seconds) == {"decode", "embed", "search", "score"}
    assert (bad.provider, bad.precision) == ("cpu", "fp32")


def test_the_score_is_the_formulas(bench: Bench, bank: Bank, embedder: OnnxEmbedder) -> None:
    """The same frame, scored by brute force outside the service."""
    bench.put_in_force(bank)
    (decision,) = bench.decisions(record(0, jpeg(5)))
    embedding = embedder.embed(bank.manifest.geometry.apply(decode(jpeg(5)))[None])
    assert decision.score == pytest.approx(Scorer(bank, BruteSearch(bank.vectors)).score(embedding)[0].score, rel=1e-4)


def test_views_banks_and_geometries_share_a_batch_and_keep_their_own_scores(
    bench: Bench, bank: Bank, embedder: OnnxEmbedder
) -> None:
    """Each frame scores the same alone and among frames of three other views, one of which has no bank."""
    wide = sample_bank(
        embedder, view="line/wide", geometry=FrameGeometry(mode="squash", height_px=64, width_px=96), frames=4
    )
    same = sample_bank(embedder, view="line/same", seed=3, frames=4)
    for each in (bank, wide, same):
        bench.put_in_force(each)
    keys = [b"line/cam", b"line/wide", b"line/none", b"line/same"]
    records = [record(n, jpeg(n), key=keys[n % 4]) for n in range(8)]
    together = bench.decisions(*records)
    alone = [bench.decisions(each)[0] for each in records]
    scored = [(a.score, b.score) for a, b in zip(together, alone, strict=True) if a.score is not None]
    assert len(scored) == 6
    for in_batch, by_itself in scored:
        assert in_batch == pytest.approx(by_itself, rel=1e-5)
    assert [each.reason for each in together] == [None, None, Reason.LEARNING, None] * 2
    assert together[2].image is not None


def test_the_frames_of_several_views_go_through_the_network_together(
    bench: Bench, bank: Bank, embedder: OnnxEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One batch for each size of input and feature set, whatever the views; each bank searches its own frames."""
    same = sample_bank(embedder, view="line/same", seed=3, frames=4)
    wide = sample_bank(
        embedder, view="line/wide", geometry=FrameGeometry(mode="squash", height_px=64, width_px=96), frames=4
    )
    for each in (bank, same, wide):
        bench.put_in_force(each)
    embedded, scored = list[tuple[int, ...]](), list[tuple[int, ...]]()
    embed, score = OnnxEmbedder.embed, Scorer.score

    def noted_embed(self: OnnxEmbedder, frames: np.ndarray) -> np.ndarray:
        embedded.append(frames.shape[:3])
        return embed(self, frames)

    def noted_score(self: Scorer, embeddings: np.ndarray) -> list[FrameScore]:
        scored.append(embeddings.shape[:3])
        return score(self, embeddings)

    monkeypatch.setattr(OnnxEmbedder, "embed", noted_embed)
    monkeypatch.setattr(Scorer, "score", noted_score)
    keys = [b"line/cam", b"line/same", b"line/wide"]
    together = bench.decisions(*(record(n, jpeg(n, defect=n > 5), key=keys[n % 3]) for n in range(9)))
    assert embedded == [(6, 64, 64), (3, 64, 96)]
    assert scored == [(3, 8, 8), (3, 8, 8), (3, 8, 12)]
    assert [each.verdict for each in together] == [Verdict.PASS] * 6 + [Verdict.FAIL] * 3


def test_a_frame_past_its_deadline_is_undecided_and_keeps_its_score(bench: Bench, bank: Bank) -> None:
    """The broker's append time counts; the default is 5 s."""
    bench.put_in_force(bank)
    bench.now = AT + timedelta(seconds=5.5)
    late, fresh = bench.decisions(record(0, jpeg(0)), record(1, jpeg(1), at=AT + timedelta(seconds=1)))
    assert (late.verdict, late.reason) == (Verdict.UNDECIDED, Reason.DEADLINE)
    assert late.score is not None
    assert fresh.verdict is Verdict.PASS


def test_a_sender_whose_clock_is_mad_gets_no_verdict(bench: Bench, bank: Bank) -> None:
    """A time that no calendar holds is long ago; the frame is undecided, the service goes on."""
    bench.put_in_force(bank)
    (decision,) = bench.decisions(replace(record(0, jpeg(0)), timestamp_ms=2**62))
    assert decision.reason is Reason.DEADLINE


def test_answers_go_to_the_partition_of_their_record_under_the_camera_key(bench: Bench) -> None:
    """Decisions and dead letters alike; a product names the view, not the key."""
    product = ((b"product".decode(), b"bolt"),)
    decided, dead = bench.answers(record(4, jpeg(0), partition=3, headers=product), record(5, b"no image", partition=3))
    assert [answer.work.outgoing[0].partition for answer in (decided, dead)] == [3, 3]
    assert [answer.work.outgoing[0].key for answer in (decided, dead)] == [b"line/cam", b"line/cam"]
    assert decision_of(decided).view == "line/cam@bolt"


def test_a_repeat_is_decided_again_and_points_to_the_first(bench: Bench) -> None:
    """Under the same decision id, so that readers act once."""
    same = (("frame-id", b"a-1"),)
    first, second = bench.decisions(record(0, jpeg(0), headers=same), record(1, jpeg(0), headers=same))
    assert first.id == second.id
    assert second.duplicate_of == SourceRecord(topic="frames", partition=0, offset=0)
    assert second.change_bits == 0


def test_a_view_drowning_in_dead_letters_is_undecided_while_others_go_on(
    bench: Bench, bank: Bank, embedder: OnnxEmbedder
) -> None:
    """More than 2 of its last 10 records; the other view keeps passing."""
    bench.put_in_force(bank)
    bench.put_in_force(sample_bank(embedder, view="line/other", frames=4))
    bench.answers(*(record(n, b"noise") for n in range(3)))
    drowning, other = bench.decisions(record(3, jpeg(0)), record(4, jpeg(0), key=b"line/other"))
    assert (drowning.verdict, drowning.reason) == (Verdict.UNDECIDED, Reason.DEAD_LETTER_RATE)
    assert drowning.score is not None
    assert other.verdict is Verdict.PASS


def test_a_frame_of_another_shape_is_undecided_and_keeps_its_score(bench: Bench, bank: Bank) -> None:
    """Half of its rows are missing: the bank would see a squashed part, and may pass it."""
    bench.put_in_force(bank)
    half = encoded(picture(0)[:48])
    cut, whole = bench.decisions(record(0, half), record(1, jpeg(0)))
    assert (cut.verdict, cut.reason, cut.size_wh_px) == (Verdict.UNDECIDED, Reason.FRAME_SIZE, (96, 48))
    assert cut.score is not None
    assert whole.verdict is Verdict.PASS


def one_broken_frame(embedder: OnnxEmbedder, shade: int) -> OnnxEmbedder:
    """The same embedder, except that it gives NaN for a frame of one flat shade."""

    class Broken:
        graph_hash, features, feature_sets, provider, precision = (
            embedder.graph_hash,
            embedder.features,
            embedder.feature_sets,
            embedder.provider,
            embedder.precision,
        )
        input_multiple_px = embedder.input_multiple_px

        def with_features(self, features: str) -> OnnxEmbedder:
            assert features == embedder.features
            return self  # type: ignore[return-value]  # as below

        def embed(self, frames: np.ndarray) -> np.ndarray:
            embeddings = embedder.embed(frames)
            embeddings[(frames == shade).all(axis=(1, 2, 3))] = np.nan
            return embeddings

    return Broken()  # type: ignore[return-value]  # structurally one


@pytest.mark.slow
def test_a_frame_the_network_chokes_on_is_undecided_and_takes_no_other_with_it(
    store: FsspecStore, embedder: OnnxEmbedder, bank: Bank
) -> None:
    """NaN embeddings of one frame of a batch: `no_score` for it, verdicts for its neighbours."""
    bench = Bench(store, one_broken_frame(embedder, 77))
    bench.put_in_force(bank)
    flat = encoded(np.full((96, 96, 3), 77, np.uint8), ".png")
    decisions = bench.decisions(record(0, jpeg(0)), record(1, flat), record(2, jpeg(1, defect=True)))
    bench.close()
    assert [each.reason for each in decisions] == [None, Reason.NO_SCORE, None]
    assert [each.verdict for each in decisions] == [Verdict.PASS, Verdict.UNDECIDED, Verdict.FAIL]


def bomb() -> bytes:
    """A PNG of a few hundred bytes that says it is 10,000 x 10,000 px."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


SHADED = encoded(picture(0))
CLAIM = (("uri", b"s3://x/y"), ("sha256", b"0" * 64), ("size", b"9"))
BAD: list[tuple[str, Record, DeadLetterReason]] = [
    ("truncated JPEG", record(0, SHADED[: len(SHADED) // 2]), DeadLetterReason.TRUNCATED),
    ("no value", record(0, None), DeadLetterReason.EMPTY),
    ("0-byte image", record(0, b""), DeadLetterReason.EMPTY),
    ("1-pixel image", record(0, encoded(np.zeros((1, 1, 3), np.uint8), ".png")), DeadLetterReason.TOO_SMALL),
    ("no image", record(0, b"hello, line"), DeadLetterReason.UNSUPPORTED_FORMAT),
    ("100 megapixels", record(0, bomb()), DeadLetterReason.TOO_MANY_PIXELS),
    ("2,647 scans", record(0, scan_bomb(side_px=7064, scans=2647)), DeadLetterReason.TOO_COSTLY),
    ("half a JPEG with an end", record(0, SHADED[: len(SHADED) // 2] + b"\xff\xd9"), DeadLetterReason.CORRUPT),
    ("no key", record(0, SHADED, key=None), DeadLetterReason.NO_KEY),
    ("key of another alphabet", record(0, SHADED, key=b"\xff\xfe"), DeadLetterReason.BAD_KEY),
    ("key with @", record(0, SHADED, key=b"line@cam"), DeadLetterReason.BAD_KEY),
    ("newer schema", record(0, SHADED, headers=(("patchline-schema", b"2"),)), DeadLetterReason.UNKNOWN_SCHEMA),
    ("claim check", record(0, b"", headers=CLAIM), DeadLetterReason.CLAIM_CHECK_NOT_ENABLED),
    ("product that is no text", record(0, SHADED, headers=(("product", b"\xff"),)), DeadLetterReason.BAD_HEADER),
]


@pytest.mark.parametrize(("bad", "reason"), [(bad, why) for _, bad, why in BAD], ids=[name for name, _, _ in BAD])
def test_bad_input_is_a_dead_letter_untouched_and_its_neighbours_are_decided(
    bench: Bench, bank: Bank, bad: Record, reason: DeadLetterReason
) -> None:
    """Key, value and headers as they came, with the reason; the frames before and after pass."""
    bench.put_in_force(bank)
    before, dead, after = bench.answers(record(0, jpeg(0)), replace(bad, offset=1), record(2, jpeg(1)))
    letter = letter_of(dead)
    assert letter.reason is reason
    assert (letter.key, letter.value or b"", letter.headers) == (bad.key, bad.value or b"", bad.headers)
    assert letter.source.offset == 1
    assert [decision_of(each).verdict for each in (before, after)] == [Verdict.PASS, Verdict.PASS]


def test_a_frame_may_claim_a_picture_that_lies_elsewhere(
    store: FsspecStore, embedder: OnnxEmbedder, bank: Bank, tmp_path: Path
) -> None:
    """It is decided as if it carried it; one that is missing, or other than claimed, is a dead letter."""
    good, gone = tmp_path / "good.jpg", tmp_path / "gone.jpg"
    good.write_bytes(jpeg(0))
    settings = ClaimSettings(prefixes=(str(tmp_path),), wait_seconds=0.1)
    bench = Bench(store, embedder, claims=Claims(settings, clock=time.monotonic))
    bench.put_in_force(bank)

    def claim(offset: int, path: Path, sha256: str) -> Record:
        size = str(len(jpeg(0))).encode()
        return record(offset, None, headers=(("uri", str(path).encode()), ("sha256", sha256.encode()), ("size", size)))

    right = hashlib.sha256(jpeg(0)).hexdigest()
    found = bench.answers(claim(0, good, right), claim(1, gone, right), claim(2, good, "0" * 64), record(3, jpeg(1)))
    bench.close()
    assert [decision_of(found[each]).verdict for each in (0, 3)] == [Verdict.PASS, Verdict.PASS]
    missing, differs = letter_of(found[1]), letter_of(found[2])
    assert (missing.reason, differs.reason) == (DeadLetterReason.CLAIM_MISSING, DeadLetterReason.CLAIM_DIFFERS)
    assert missing.headers == claim(1, gone, right).headers


def test_headers_that_say_nothing_readable_are_left_out_and_the_part_is_decided(bench: Bench, bank: Bank) -> None:
    """Of a foreign sender: a Latin-1 serial, a time without offset, a sequence of its own; even one of a megabyte."""
    bench.put_in_force(bank)
    theirs = (
        ("part-serial", "Gehäuse".encode("latin1")),
        ("captured-at", b"2026-11-28T14:00:00"),
        ("sequence", b"A-17"),
        ("uri", b"opc.tcp://plc-7/cell"),
        ("frame-id", b"x" * 1_100_000),
    )
    (answer,) = bench.answers(record(0, jpeg(0), headers=theirs))
    decision = decision_of(answer)
    assert decision.verdict is Verdict.PASS
    assert (decision.part_serial, decision.captured_at, decision.sequence) == (None, None, None)
    assert decision.frame_id == "0-0"
    assert sorted(answer.unread_headers) == ["captured-at", "frame-id", "part-serial", "sequence"]


def test_a_header_that_cannot_be_read_is_logged_once_for_each_camera(bench: Bench) -> None:
    """A sender repeats its mistake with every frame."""
    with capture_logs() as logs:
        for offset in range(3):
            bench.decisions(record(offset, jpeg(offset), headers=(("sequence", b"A-17"),)))
        bench.decisions(record(3, jpeg(3), key=b"line-1/other", headers=(("sequence", b"A-17"),)))
    told = [(each["header"], each["camera"]) for each in logs if each["event"] == "header_unread"]
    assert told == [("sequence", VIEW), ("sequence", "line-1/other")]


def test_a_serial_number_in_the_key_costs_no_more_than_the_room_for_views(bench: Bench, bank: Bank) -> None:
    """Its frames are dead letters that say what to do; the view with a bank is decided whoever came before it."""
    for offset in range(6):
        (answer,) = bench.answers(record(offset, jpeg(offset), key=b"line-7/SN%d" % offset))
        if offset < 3:
            assert decision_of(answer).reason is Reason.LEARNING
        else:
            assert letter_of(answer).reason is DeadLetterReason.TOO_MANY_VIEWS
            assert "part-serial" in letter_of(answer).detail
            assert answer.view == ""
    bench.put_in_force(bank)
    assert [each.verdict for each in bench.decisions(record(6, jpeg(0)))] == [Verdict.PASS]
    (rubbish,) = bench.answers(record(7, b"rubbish", key=b"line-7/SN9"))
    assert rubbish.view == ""


def test_silent_views_are_forgotten_with_all_that_was_remembered_of_them(bench: Bench) -> None:
    """Memory does not grow with every view there ever was."""
    for offset in range(3):
        bench.decisions(record(offset, jpeg(offset), key=b"line-7/SN%d" % offset))
    bench.seconds = 101
    batch = bench.inspector.inspect([Queued(record(3, jpeg(3), key=b"line-7/SN3"), time.monotonic())])
    assert batch.forgotten == ("line-7/SN0", "line-7/SN1", "line-7/SN2")
    (past,) = bench.inspector._history._partitions.values()
    assert [*past.hashes, *past.outcomes, *past.frozen_runs] == ["line-7/SN3"] * 3


def test_records_that_nobody_can_read_are_one_dead_letter_that_says_which(bench: Bench, bank: Bank) -> None:
    """The parts before and after them are decided."""
    bench.put_in_force(bank)
    unread = replace(record(4, None, key=None), unread=Unread(1, "the checksum of its batch does not match"))
    before, dead, after = bench.answers(record(0, jpeg(0)), unread, record(5, jpeg(1)))
    letter = letter_of(dead)
    assert letter.reason is DeadLetterReason.UNREADABLE
    assert letter.detail == "offsets 1 to 4 cannot be read: the checksum of its batch does not match"
    assert (letter.first_offset, letter.source.offset) == (1, 4)
    assert dead.work.next_offset == 5
    assert [decision_of(each).verdict for each in (before, after)] == [Verdict.PASS, Verdict.PASS]


def test_a_decision_that_its_topic_does_not_take_becomes_a_dead_letter_that_fits(bench: Bench, bank: Bank) -> None:
    """Whatever a topic is set to, no restart meets the same record again."""
    bench.put_in_force(bank)
    bench.largest |= {"decisions": 3000, "frames.dead-letter": 10_000}
    bench.inspector._sizes.refused()
    (answer,) = bench.answers(record(0, jpeg(0), headers=(("note", b"x" * 20_000),)))
    letter = letter_of(answer)
    assert letter.reason is DeadLetterReason.ANSWER_TOO_LARGE
    assert letter.left_out == ("value", "headers")
    assert letter.pointer_only
    assert letter.key == VIEW.encode()
    (outgoing,) = answer.work.outgoing
    assert len(outgoing.value or b"") + sum(len(n) + len(v) for n, v in outgoing.headers) < 10_000


def cmyk_jpeg() -> bytes:
    """What a scanner of another trade sends."""
    image = pytest.importorskip("PIL.Image")
    out = BytesIO()
    image.fromarray(picture(0)).convert("CMYK").save(out, "JPEG", quality=95)
    return out.getvalue()


RIGHT = {
    "16-bit PNG": lambda: encoded(picture(0).astype(np.uint16) * 257, ".png"),
    "16-bit TIFF": lambda: encoded(picture(0).astype(np.uint16) * 257, ".tiff"),
    "alpha": lambda: bytes(cv2.imencode(".png", cv2.cvtColor(picture(0), cv2.COLOR_RGB2BGRA))[1]),
    "BMP": lambda: encoded(picture(0), ".bmp"),
    "CMYK": cmyk_jpeg,
}


@pytest.mark.parametrize("kind", RIGHT)
def test_unusual_encodings_of_the_same_part_get_the_same_verdict(bench: Bench, bank: Bank, kind: str) -> None:
    """Decoded rightly: a good part passes, and looks as bright as its plain PNG."""
    bench.put_in_force(bank)
    plain, odd = bench.decisions(record(0, encoded(picture(0), ".png")), record(1, RIGHT[kind]()))
    assert odd.verdict is Verdict.PASS
    assert plain.image is not None
    assert odd.image is not None
    assert odd.image.brightness == pytest.approx(plain.image.brightness, abs=3)


def test_what_the_pixels_say_is_in_gray_levels(bench: Bench) -> None:
    """A flat frame of level 51: brightness 51 of 255, no contrast, nothing dark or saturated."""
    (decision,) = bench.decisions(record(0, encoded(np.full((96, 96, 3), 51, np.uint8), ".png")))
    assert decision.image is not None
    assert decision.image.brightness == pytest.approx(51.0)
    assert (decision.image.contrast, decision.image.dark_ratio, decision.image.saturated_ratio) == (0.0, 0.0, 0.0)


def test_times_come_from_the_record_and_the_clock(bench: Bench) -> None:
    """Appended by the broker's clock, decided by ours, captured by the camera's."""
    bench.now = AT + timedelta(seconds=2)
    captured = (("captured-at", b"2026-03-01T11:59:59.5+00:00"),)
    (decision,) = bench.decisions(record(0, jpeg(0), headers=captured))
    assert (decision.appended_at, decision.decided_at) == (AT, AT + timedelta(seconds=2))
    assert decision.captured_at == datetime(2026, 3, 1, 11, 59, 59, 500_000, tzinfo=UTC)


def test_view_name_is_kept(bench: Bench) -> None:
    """The answer's view is what metrics count by."""
    assert [
        answer.view for answer in bench.answers(record(0, jpeg(0)), record(1, b"x"), record(2, b"x", key=None))
    ] == [
        VIEW,
        VIEW,
        "",
    ]
