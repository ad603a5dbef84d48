"""The program of a run: a file, a Python script, a command or a URL."""
