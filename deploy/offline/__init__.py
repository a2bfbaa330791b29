"""Banks and pictures in files, without Kafka: build, score, explain."""
