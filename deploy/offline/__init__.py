"""Banks and pictures in files, without Kafka: build a bank, score pictures, explain a score. It draws nothing."""
