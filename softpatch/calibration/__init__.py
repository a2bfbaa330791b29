"""From cross-fitted scores to a threshold."""
