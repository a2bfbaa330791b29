"""`patchline evaluate`: files, caches, progress and reports around the pure protocol of `protocol`, `methods` and `results`."""
