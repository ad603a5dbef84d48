"""Real programs that the integration tests run, and their helpers."""
