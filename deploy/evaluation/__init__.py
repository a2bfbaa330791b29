"""`patchline evaluate`: files, caches and progress here; the pure parts in `protocol`, `methods` and `results`."""
