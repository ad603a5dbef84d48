"""Fuzzers of all that reads what strangers wrote: each module has `seeds` and `check`.

`check` takes any bytes and fails when a promise of the parser is broken. ``make fuzz`` has atheris
look for such bytes; tests/unit/test_fuzz.py runs `check` over the seeds, and over what was found.
"""

TARGETS = ("gob", "form", "output", "spec", "log", "http")
