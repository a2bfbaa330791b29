"""What drift needs of one decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ingest.decision import LineChange, Reason

if TYPE_CHECKING:
    from jaxtyping import Float64

    from ingest.decision import Decision

MEASURED = ("score", "brightness", "contrast", "sharpness", "dark_ratio", "saturated_ratio")


class NotMeasured(ValueError):
    """The decision carries no score, picture facts or sketch, or its frame no part: nothing compares with a bank."""


@dataclass(frozen=True)
class Observation:
    """One decided frame. `values` are those of MEASURED: score in the bank's units, brightness and contrast of 255.

    `missing`: frames that the camera numbered and nobody received, just before this one. `same_place`: it fails, with
    most frames of its view, at the same place. `other_size_wh`: its size in pixels, where that is none that the bank
    learnt; nothing else of it compares then.
    """

    values: Float64[np.ndarray, "6"]
    sketch: Float64[np.ndarray, "32"]
    difference_hash: str
    missing: int = 0
    same_place: bool = False
    other_size_wh: tuple[int, int] | None = None


def observation_of(decision: Decision, *, missing: int = 0) -> Observation:
    """What drift needs of a decision; `missing` is what its camera's numbering says (ingest.sequence_gaps).

    Raises NotMeasured for a frame that was decided without a score (learning, bank refused), for a duplicate, which
    says nothing new about the line, and for a frame without a part, which says nothing of the product.
    """
    image, sketch, fingerprint = decision.image, decision.sketch, decision.difference_hash
    says_nothing = decision.duplicate_of is not None or decision.reason is Reason.NO_PART
    if says_nothing or decision.score is None or image is None or not sketch or not fingerprint:
        raise NotMeasured(f"decision {decision.id} cannot be compared with a bank")
    facts = (getattr(image, name) for name in MEASURED[1:])
    values, same_place = np.array([decision.score, *facts]), decision.line_change is LineChange.SAME_PLACE
    other_size_wh = decision.size_wh_px if decision.reason is Reason.FRAME_SIZE else None
    return Observation(values, np.array(sketch), fingerprint, missing, same_place, other_size_wh)
