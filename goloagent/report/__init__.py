"""The report of a run: its data, from which summaries, files and comparisons are made. Pure."""
