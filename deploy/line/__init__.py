"""A whole line on this machine: its broker, its processes, what goes in and what comes out."""
