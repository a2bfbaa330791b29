"""The `patchline` command: settings, wiring, demo and bench."""
