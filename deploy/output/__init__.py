"""What a command writes while it works and in the end: progress, tables, rows, JSON documents, picture files."""
