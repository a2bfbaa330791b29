"""What drift needs of one decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64

    from ingest.decision import Decision

MEASURED = ("score", "brightness", "contrast", "sharpness", "dark_ratio", "saturated_ratio")


class NotMeasured(ValueError):
    """The decision carries no score, picture facts or sketch: nothing of it compares with a bank."""


@dataclass(frozen=True)
class Observation:
    """One decided frame. `values` are those of MEASURED: score in the bank's units, brightness and contrast of 255.

    `missing`: frames that the camera numbered and nobody received, just before this one.
    """

    values: Float64[np.ndarray, "6"]
    sketch: Float64[np.ndarray, "32"]
    difference_hash: str
    missing: int = 0


def observation_of(decision: Decision, *, missing: int = 0) -> Observation:
    """What drift needs of a decision; `missing` is what its camera's numbering says (ingest.sequence_gaps).

    Raises NotMeasured for a frame that was decided without a score (learning, bank refused) and for a duplicate, which
    says nothing new about the line.
    """
    image, sketch, fingerprint = decision.image, decision.sketch, decision.difference_hash
    if decision.duplicate_of is not None or decision.score is None or image is None or not sketch or not fingerprint:
        raise NotMeasured(f"decision {decision.id} cannot be compared with a bank")
    facts = (getattr(image, name) for name in MEASURED[1:])
    return Observation(np.array([decision.score, *facts]), np.array(sketch), fingerprint, missing)
