"""The record of one examination: what was measured, against which bounds, with which verdict.

A record is canonical JSON. Its sha256 stands in the bank event, which is kept for ever, so that a changed record is
told; with `trainer.signing_key_file` it is signed, too, so that nobody without the key can make one.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from ingest.annotation import FrameAnnotation
    from ingest.bank_signature import BankSigner, BankVerifier
    from softpatch.gate.measures import GateMeasures
    from softpatch.gate.settings import GateSettings
    from softpatch.gate.verdict import GateVerdict

SIGNATURE = "signature_ed25519"


def gate_record(
    version: str,
    measures: GateMeasures,
    verdict: GateVerdict,
    settings: GateSettings,
    *,
    golden: tuple[FrameAnnotation, ...],
    at: datetime,
    signer: BankSigner | None,
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
    if signer is not None:
        record[SIGNATURE] = signer.record_signature(record_sha256(_canonical(record))).hex()
    return _canonical(record)


def check_signature(record: bytes, verifier: BankVerifier) -> None:
    """Raises NotSigned where a record has no signature by one of the keys, or is not as it was when it was signed."""
    content = json.loads(record)
    signature = bytes.fromhex(content.pop(SIGNATURE, ""))
    verifier.check_record(record_sha256(_canonical(content)), signature)


def record_sha256(record: bytes) -> str:
    """What the bank event says of it."""
    return hashlib.sha256(record).hexdigest()


def _canonical(record: dict[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
