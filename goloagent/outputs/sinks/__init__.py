"""The backends to which outputs send results."""
