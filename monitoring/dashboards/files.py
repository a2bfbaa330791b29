"""Every dashboard, and the text of its file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from monitoring.dashboards.banks import BANKS
from monitoring.dashboards.fleet import FLEET
from monitoring.dashboards.panel import grafana_json
from monitoring.dashboards.services import SERVICES
from monitoring.dashboards.view import VIEW

if TYPE_CHECKING:
    from monitoring.dashboards.panel import Dashboard

DASHBOARDS = (FLEET, VIEW, BANKS, SERVICES)


def text_of(dashboard: Dashboard) -> str:
    """The file of a dashboard; the same dashboard gives the same text."""
    return json.dumps(grafana_json(dashboard), indent=2) + "\n"
