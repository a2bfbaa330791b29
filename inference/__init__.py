"""Frames into decisions, exactly once."""
