"""The processes of load tests: how they are started, confined, watched and killed.

A load test is any program that a user uploads, so it is not trusted. `supervisor` is the entry: it
starts each one through the `launcher`, in an isolation backend that lets the agent kill every
process that the program starts, and denies it the agent's files (Landlock). `process` reports the
output and the exit; `orphans` finds what outlived a job, and `peer_check` whose socket it is.
"""
