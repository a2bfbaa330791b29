"""The history: decisions, events and pictures, kept in a database and the store after Kafka has forgotten them."""
