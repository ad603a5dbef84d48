"""Reports of runs that are over: read from files, fetched from agents, compared."""
