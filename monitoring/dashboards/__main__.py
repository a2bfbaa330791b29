"""`python -m monitoring.dashboards deploy/grafana/dashboards`: the dashboards as files, `<uid>.json`."""

from __future__ import annotations

import sys
from pathlib import Path

from monitoring.dashboards.files import DASHBOARDS, text_of

if __name__ == "__main__":
    for dashboard in DASHBOARDS:
        (Path(sys.argv[1]) / f"{dashboard.uid}.json").write_text(text_of(dashboard))
