"""Outputs: cursors over a run's log, and what they are sent to."""
