"""What an experiment measures, and its report: metrics, rows, bootstrap intervals, Markdown. Pure."""
