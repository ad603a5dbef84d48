"""Prometheus metrics: counters of jobs, the load, delivery lag, and the event loop's own lag."""
