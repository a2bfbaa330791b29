"""Frames into windows, windows into memory banks, per view, for ever."""
