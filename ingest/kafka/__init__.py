"""Kafka as Patchline needs it: one exactly-once loop, one reader of whole topics, one sender; bytes and headers."""
