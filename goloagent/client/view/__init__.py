"""What ``golo run`` prints: the live view, plain lines, the summary, and texts for CI."""
