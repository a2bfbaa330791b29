"""Step 3: from cross-fitted scores to a threshold."""
