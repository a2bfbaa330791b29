"""Grafana dashboards as values: what each panel asks Prometheus, in which unit, and what it tells a person.

`python -m monitoring.dashboards deploy/grafana/dashboards` writes the files that Grafana is provisioned from.
"""
