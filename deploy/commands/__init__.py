"""One file per group of commands; they import what they need when they run, so that `--help` answers at once."""
