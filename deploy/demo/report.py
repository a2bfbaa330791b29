"""What a demo reports: the figures of its run, and the contact sheet."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.demo.findings import findings, misses_by_kind
from deploy.demo.summary import (
    JudgedFrame,
    false_reject_ratio,
    image_auroc,
    latency_seconds,
    miss_ratio,
    once_each,
    undecided,
)
from deploy.errors import CommandFailed
from deploy.output.picture_file import write_picture
from deploy.pictures.annotated_frame import AnnotatedFrame
from deploy.pictures.contact_sheet import SheetHeader, render
from ingest.cameras.source import GOOD
from ingest.decision import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deploy.demo.plan import Plan
    from deploy.local_stack.outcomes import Balance, FrameOutcome
    from deploy.local_stack.sending import SentFrame
    from ingest.contract import SourceRecord
    from softpatch.bank import Bank


@dataclass(frozen=True)
class DemoReport:
    """What a demo came to; the keys of its JSON. Figures are of the frames sent after the bank was in force.

    `lost` and `doubled` count all input records, the window's too.
    """

    frames: int
    decisions: int
    dead_letters: int
    undecided: int
    lost: int
    doubled: int
    image_auroc: float | None
    false_reject_ratio: float | None
    miss_ratio: float | None
    frames_per_second: float
    latency_p50_seconds: float | None
    latency_p99_seconds: float | None
    build_seconds: float
    bank_patches: int
    threshold: float
    contact_sheet: str
    missed_by_kind: dict[str, tuple[int, int]]
    """Of each kind of defect the parts that passed, and all of them."""
    smallest_found_px: float | None
    """The size that the bank finds nine times in ten, of planted defects; None where it finds none so often."""
    findings: list[str]
    """What the run teaches, in sentences."""

    def to_json(self) -> dict[str, object]:
        """The JSON document."""
        return asdict(self)


def report_of(
    rest: Sequence[SentFrame],
    first: Mapping[SourceRecord, FrameOutcome],
    whole: Balance,
    bank: Bank,
    *,
    build_seconds: float,
    sheet: Path,
) -> DemoReport:
    """The figures of a run, from what was sent and the first outcome of each frame."""
    judged = once_each([judged_by(sent, first.get(sent.source)) for sent in rest])
    seen = [outcome.seen_at for outcome in first.values()]
    return DemoReport(
        frames=len(rest),
        decisions=sum(each.decision is not None for each in judged),
        dead_letters=sum(outcome.decision is None for outcome in first.values()),
        undecided=undecided(judged),
        lost=whole.lost,
        doubled=whole.doubled,
        image_auroc=image_auroc(judged),
        false_reject_ratio=false_reject_ratio(judged),
        miss_ratio=miss_ratio(judged),
        frames_per_second=len(seen) / (max(seen) - rest[0].sent_at) if seen else 0.0,
        latency_p50_seconds=latency_seconds(judged, 50),
        latency_p99_seconds=latency_seconds(judged, 99),
        build_seconds=build_seconds,
        bank_patches=len(bank.vectors),
        threshold=bank.manifest.threshold.value,
        contact_sheet=str(sheet),
        missed_by_kind=misses_by_kind(judged),
        smallest_found_px=None if bank.manifest.detection is None else bank.manifest.detection.a90_px,
        findings=findings(judged, bank),
    )


def draw_sheet(
    plan: Plan, rest: Sequence[SentFrame], first: Mapping[SourceRecord, FrameOutcome], bank: Bank, path: Path
) -> Path:
    """Write the contact sheet of a run. Raises CommandFailed where nothing was decided, or it cannot be written."""
    frames = [
        AnnotatedFrame(
            "/".join(Path(sent.frame.source).parts[-2:]),
            sent.frame.encoded,
            decision,
            bank.manifest.geometry,
            sent.frame.label,
            sent.frame.mask,
        )
        for sent in rest
        if sent.source in first and (decision := first[sent.source].decision) is not None
    ]
    if not frames:
        raise CommandFailed("no frame was decided, so there is nothing to show; the services' logs say why")
    judged = once_each([judged_by(sent, first.get(sent.source)) for sent in rest])
    write_picture(path, render(frames, sheet_header(plan, judged)))
    return path


def sheet_header(plan: Plan, judged: Sequence[JudgedFrame]) -> SheetHeader:
    """The title of the contact sheet, and the figures beside it."""
    failed = sum(each.decision is not None and each.decision.verdict is Verdict.FAIL for each in judged)
    noise = sum(frame.label not in (GOOD, None) for frame in plan.window)
    ratios = {"missed": miss_ratio(judged), "false rejects": false_reject_ratio(judged)}
    figures = [(name, f"{100 * value:.1f} %") for name, value in ratios.items() if value is not None]
    area = image_auroc(judged)
    return SheetHeader(
        title=plan.about,
        line=f"{len(judged)} frames, decided by a bank learned from {len(plan.window)} unfiltered frames, "
        f"{noise} of them defective",
        figures=[("failed", f"{failed} of {len(judged)}"), *figures]
        + ([("image AUROC", f"{area:.3f}")] if area is not None else []),
    )


def judged_by(sent: SentFrame, outcome: FrameOutcome | None) -> JudgedFrame:
    """A frame with its label and its outcome."""
    if outcome is None:
        return JudgedFrame(sent.frame.label, None)
    return JudgedFrame(sent.frame.label, outcome.decision, outcome.seen_at - sent.sent_at)
