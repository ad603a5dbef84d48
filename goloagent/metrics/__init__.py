"""Prometheus metrics: counters of jobs, delivery lag, and the event loop's own lag."""
