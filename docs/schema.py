"""Write docs/report.schema.json, the schema of ``golo run --json``, for ``make docs``."""

from __future__ import annotations

import json
from pathlib import Path

from goloagent.report.schema import schema

FILE = Path(__file__).with_name("report.schema.json")


def render() -> str:
    """Return the text of the file."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
