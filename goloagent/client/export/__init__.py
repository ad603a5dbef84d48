"""Writes the results of a run as files of other tools."""
