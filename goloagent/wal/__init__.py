"""The write-ahead log: each run's stdout, in a file that only grows.

A result is safe once its line is in this file. The package appends, syncs and removes logs,
and finds runs on the disk if the database is lost.
"""
