"""Load profiles: how much load a job plans at each moment, and when each iteration is due.

A profile is a ramp of users (closed model) or of iterations per second (open model). Everything is
pure and exact: times are whole nanoseconds from the start of the load, and a ramp is integrated in
integers, so that an agent's share and the whole agree to the last arrival.
"""
