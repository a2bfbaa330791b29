"""A module per command: its options and what it prints. The table in deploy.cli imports one when it is invoked."""
