"""Metrics, health and, later, drift."""
