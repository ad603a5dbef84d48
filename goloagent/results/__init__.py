"""The results of a load test: its stdout is split into lines, parsed and counted.

A result is one line of JSON for one request. All parsers work on blocks of lines.
"""
