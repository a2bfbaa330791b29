"""Grafana dashboards as values: what each panel queries of Prometheus, in which unit, and what it means.

`python -m monitoring.dashboards deploy/grafana/dashboards` writes the files that Grafana is provisioned from.
"""
