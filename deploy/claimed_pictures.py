"""What fetches pictures that frames only name, as the settings say."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ingest.claims import Claims

if TYPE_CHECKING:
    from deploy.settings import Settings


def claims_of(settings: Settings) -> Claims:
    """What fetches the pictures that frames claim. Raises UnknownStore."""
    return Claims(settings.claims, clock=time.monotonic)
