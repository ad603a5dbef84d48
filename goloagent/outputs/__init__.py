"""Outputs: each sends every run's results to one backend, and is a cursor over the run logs.

`worker` runs the loop, `feed` is one run on its way, and `sinks` has the backends.
"""
