"""What the agent tells Prometheus: what is counted, and how it is written."""
