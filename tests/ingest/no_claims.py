"""For tests whose frames carry their pictures."""

import time

from ingest.claims import Claims, ClaimSettings

NO_CLAIMS = Claims(ClaimSettings(), clock=time.monotonic)
