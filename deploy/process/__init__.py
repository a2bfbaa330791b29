"""What every process does alike: logs, signals, the check of its extras."""
