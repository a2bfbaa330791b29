"""Every method the paper compares, and ours: from a window to something that scores frames. Pure."""
