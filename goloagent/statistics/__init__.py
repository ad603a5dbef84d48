"""What a run's results say of the target: counts, errors and latency, in constant memory."""
