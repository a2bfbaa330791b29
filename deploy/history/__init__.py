"""What Kafka and the store hold of a view: its decisions, dead letters and banks; decisions decided again."""
