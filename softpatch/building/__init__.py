"""From a window of unfiltered frames to a bank: window, denoise, subsample, cross_fit, assemble, in this order."""
