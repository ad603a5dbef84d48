"""One running load test: the program, its output and its calls."""
