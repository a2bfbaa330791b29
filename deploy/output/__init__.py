"""What a command shows while it works, and what it leaves for scripts."""
