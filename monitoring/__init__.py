"""Metrics, health checks, drift, dashboards."""
