"""`python -m monitoring.healthcheck PORT`: exit code 0 where the service with this metrics port says that it is alive.

For a container's health check, in an image that has no curl.
"""

from __future__ import annotations

import sys
from urllib.error import URLError
from urllib.request import urlopen

PATIENCE_SECONDS = 5.0


def alive(port: int) -> str | None:
    """Why the service is not alive; None where it is."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE_SECONDS):
            return None
    except (URLError, OSError) as error:
        return f"port {port}: {error}"


if __name__ == "__main__":
    sys.exit(alive(int(sys.argv[1])))
