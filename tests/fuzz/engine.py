"""Runs one target under atheris; the arguments after its name are libFuzzer's."""

from __future__ import annotations

import importlib
import sys

import atheris

with atheris.instrument_imports(include=["goloagent", "multipart"]):
    target = importlib.import_module(f"fuzz.{sys.argv[1]}")

atheris.Setup([sys.argv[0], *sys.argv[2:]], target.check)
atheris.Fuzz()
