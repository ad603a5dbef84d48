"""Processes of load tests: launch, isolation, output pipes, and the end of every descendant."""
