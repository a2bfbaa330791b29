"""What every process of ours does alike: logs, signals, the check of its extras."""
