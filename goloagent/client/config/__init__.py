"""The configuration of a run: options, variables, job files and the plan."""
