"""From a window of unfiltered frames to a memory bank."""
