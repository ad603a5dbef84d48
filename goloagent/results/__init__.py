"""Results: lines of stdout are split, parsed, counted, and written to the run log."""
