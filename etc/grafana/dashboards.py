"""Write the dashboards beside this file: ``make docs``, or ``python etc/grafana/dashboards.py``."""

from __future__ import annotations

import json
from pathlib import Path

import golo_influxdb
import golo_prometheus

HERE = Path(__file__).parent


def render() -> dict[Path, str]:
    """Return the text of each dashboard, by its path."""
    dashboards = {
        "golo-prometheus": golo_prometheus.render(),
        "golo-influxdb": golo_influxdb.render(),
    }
    return {
        HERE / f"{name}.json": json.dumps(one, indent=2) + "\n" for name, one in dashboards.items()
    }


def main() -> None:
    """Write the dashboards."""
    for path, text in render().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
