"""What is on record of a view: its decisions, dead letters and banks, and what another threshold makes of them."""
