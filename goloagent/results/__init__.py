"""A run's log and the results in it."""
