"""Step 2: from a window of unfiltered frames to a memory bank."""
