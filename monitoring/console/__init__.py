"""The console: pages over the history for the people in a plant, with buttons for what the command line asks."""
