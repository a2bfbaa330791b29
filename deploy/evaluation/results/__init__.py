"""What an experiment measures, and how it is told: metrics, rows, bootstrap intervals, Markdown. Pure."""
