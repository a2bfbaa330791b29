"""Messages, the Kafka adapter, cameras and the store."""
