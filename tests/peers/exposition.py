"""Parse Prometheus's text format, and apply the rules of `promtool check metrics`."""

from __future__ import annotations

import re
from collections import Counter

from prometheus_client.parser import text_string_to_metric_families

_NOT_BASE = re.compile(
    r"_(milli|micro|nano)?(ms|milliseconds|microseconds|minutes|hours|days|kilobytes|megabytes"
    r"|kb|mb|gb|kib|mib|gib|bits|percent|percentage)(_|$)"
)
_OF_HISTOGRAMS = re.compile(r"_(bucket|count|sum)$")


def samples(text: str) -> dict[str, float]:
    """Return every sample by its name and labels as written, without buckets."""
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def complaints(text: str) -> list[str]:
    """Return the violations of the rules."""
    found = []
    for family in text_string_to_metric_families(text):
        name = family.name
        if not family.documentation:
            found.append(f"{name}: no help text")
        if family.type not in ("counter", "gauge", "histogram"):
            found.append(f"{name}: no type")
        if _NOT_BASE.search(name):
            found.append(f"{name}: not a base unit")
        if not re.fullmatch("[a-z][a-z0-9_]*", name):
            found.append(f"{name}: not in snake case")
        if family.type != "counter" and name.endswith("_total"):
            found.append(f"{name}: _total is for counters")
        if family.type != "histogram" and _OF_HISTOGRAMS.search(name):
            found.append(f"{name}: a suffix of histograms")
        for sample in family.samples:
            if family.type == "counter" and not sample.name.endswith("_total"):
                found.append(f"{sample.name}: a counter without _total")
        if family.type == "histogram" and not any(
            sample.labels.get("le") == "+Inf" for sample in family.samples
        ):
            found.append(f"{name}: no bucket for all")
    lines = [line for line in text.splitlines() if line]
    names = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    heads = [" ".join(line.split()[:3]) for line in lines if line.startswith("#")]
    for what, count in Counter(names + heads).items():
        if count > 1:
            found.append(f"{what}: {count} times")
    return found
