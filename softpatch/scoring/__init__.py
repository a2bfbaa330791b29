"""Scoring: the search for the nearest bank patch, and the anomaly scores it gives."""
