"""The write-ahead log: each run's stdout in a file that only grows.

Append, sync, retention, and what can be rebuilt from the files when the database is lost.
"""
