"""The labels of a run's series in Prometheus. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from goloagent.outputs.labels import RunLabels

MAX_VALUE_CHARS = 1024

# Those of the run and of its metrics, which no tag replaces.
_RESERVED = frozenset({
    "job", "instance", "run", "name", "job_id", "model", "cause", "le", "quantile",
})  # fmt: skip
_invalid = re.compile("[^a-zA-Z0-9_]").sub


def series_labels(run: RunLabels) -> dict[str, str]:
    """Return the labels that all series of a run have.

    No two jobs or agents share a series, because a job's id is one of them.
    """
    labels = {
        "job": "golo",
        "instance": run.agent,
        "run": run.run,
        "name": run.name,
        "job_id": run.job,
        **_tag_labels(run.tags),
    }
    return {name: value[:MAX_VALUE_CHARS] for name, value in labels.items() if value}


def _tag_labels(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags under names that Prometheus allows, and that are free."""
    labels: dict[str, str] = {}
    for tag in sorted(tags):
        name = _invalid("_", tag).strip("_") or "tag"
        if name in _RESERVED or name[0].isdigit():
            name = f"tag_{name}"
        number, free = 1, name
        while free in labels:
            number += 1
            free = f"{name}_{number}"
        labels[free] = tags[tag]
    return labels
