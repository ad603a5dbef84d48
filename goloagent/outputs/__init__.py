"""Outputs: each sends the results of every run to one backend, such as a collector over HTTP.

An output reads the run logs like a message queue: it stores an offset in each log (`checkpoint`),
sends the results after it in batches, and commits the new offset after a successful response.
`worker` is the loop, `delivery` its decisions, `feed` the part of one run, `sink` the interface of
a backend, and `sinks` has the backends.
"""
