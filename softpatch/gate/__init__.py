"""Whether a bank that was just built may come into force: measures of it, bounds on them, and a verdict."""
