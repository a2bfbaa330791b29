"""Camera sources (simulator, folder, video file) and the sending side that turns their frames into Kafka records."""
