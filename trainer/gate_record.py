"""The record of one examination: what was measured, against which bounds, with which verdict.

A record is canonical JSON. Its sha256 stands in the bank event, which is kept for ever, so that a changed record is
told; with `trainer.gate_key_file` its HMAC is in it, too, so that nobody without the key can make one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from datetime import datetime

    from ingest.annotation import FrameAnnotation
    from softpatch.gate.measures import GateMeasures
    from softpatch.gate.settings import GateSettings
    from softpatch.gate.verdict import GateVerdict

SignatureCheck = Literal["right", "wrong", "none"]
SIGNATURE = "hmac_sha256"


def gate_record(
    version: str,
    measures: GateMeasures,
    verdict: GateVerdict,
    settings: GateSettings,
    *,
    golden: tuple[FrameAnnotation, ...],
    at: datetime,
    key: bytes | None,
) -> bytes:
    """The record of a bank that was examined; `golden` are the annotations whose frames had to come out right."""
    wrong = set(measures.golden_wrong)
    record: dict[str, Any] = {
        "format_version": 1,
        "at": at.isoformat(),
        "bank": version,
        "passed": verdict.passed,
        "breaches": [each.sentence for each in verdict.breaches],
        "measures": measures.model_dump(mode="json"),
        "bounds": settings.model_dump(mode="json"),
        "golden": [
            {
                "id": each.id,
                "label": each.label.value,
                "who": each.who,
                "frames": [exemplar.frame_id for exemplar in each.exemplars],
                "right": each.id not in wrong,
            }
            for each in golden
        ],
    }
    if key is not None:
        record[SIGNATURE] = _signature(record, key)
    return _canonical(record)


def signature_check(record: bytes, key: bytes) -> SignatureCheck:
    """Whether a record was signed with this key and is as it was then."""
    content = json.loads(record)
    signature = content.pop(SIGNATURE, None)
    if signature is None:
        return "none"
    return "right" if hmac.compare_digest(str(signature), _signature(content, key)) else "wrong"


def record_sha256(record: bytes) -> str:
    """What the bank event says of it."""
    return hashlib.sha256(record).hexdigest()


def _signature(record: dict[str, Any], key: bytes) -> str:
    return hmac.new(key, _canonical(record), hashlib.sha256).hexdigest()


def _canonical(record: dict[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
