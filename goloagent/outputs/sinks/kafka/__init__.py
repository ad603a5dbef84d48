"""Kafka: each result is a message, by an idempotent producer."""
