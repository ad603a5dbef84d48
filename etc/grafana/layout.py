"""A dashboard: variables, rows of panels on a grid, and how a data source writes a query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from panels import GRID, Json

SOURCE = "${datasource}"


class Dialect(Protocol):
    """How a data source writes a target and the query of a variable."""

    kind: str

    def target(self, query: str, legend: str, format_: str) -> Json:
        """Return a target; `format_` is series, table, instant or heatmap."""

    def variable(self, query: str) -> Any:
        """Return the query of a variable."""


class Prometheus:
    """PromQL. A run has a sample a second, so that `$__rate_interval` is 4 s or longer."""

    kind = "prometheus"

    def target(self, query: str, legend: str, format_: str) -> Json:
        """Return a target; `format_` is series, instant, table or heatmap."""
        return {
            "expr": query,
            "legendFormat": legend,
            "format": format_ if format_ in {"table", "heatmap"} else "time_series",
            "instant": format_ in {"instant", "table"},
            "range": format_ not in {"instant", "table"},
            "interval": "" if "golo_agent_" in query else "1s",
        }

    def variable(self, query: str) -> Any:
        """Return the query of a variable."""
        return {"query": query, "refId": "StandardVariableQuery"}


class InfluxQL:
    """InfluxQL, which InfluxDB 1, 2 and 3 speak."""

    kind = "influxdb"

    def target(self, query: str, legend: str, format_: str) -> Json:
        """Return a target; `format_` is series, instant, table or heatmap."""
        table = format_ == "table"
        return {
            "query": query,
            "rawQuery": True,
            "alias": "" if table else legend,
            "resultFormat": "table" if table else "time_series",
        }

    def variable(self, query: str) -> Any:
        """Return the query of a variable."""
        return query


def picker(name: str, label: str, query: str, *, several: bool = False) -> Json:
    """Return a variable whose values are read from the data source."""
    every: Json = {"allValue": ".*"} if several else {}
    return {
        **every,
        "type": "query",
        "name": name,
        "label": label,
        "query": query,
        "refresh": 2,  # whenever the time range changes
        "sort": 1,
        "regex": "",
        "hide": 0,
        "skipUrlSync": False,
        "multi": several,
        "includeAll": several,
        "current": {"text": ["All"], "value": ["$__all"], "selected": True} if several else {},
        "options": [],
    }


def dashboard(
    dialect: Dialect,
    title: str,
    description: str,
    pickers: Sequence[Json],
    rows: Mapping[str, Sequence[Json]],
) -> Json:
    """Return the dashboard: every row of panels from left to right, and from top to bottom."""
    source = {"type": dialect.kind, "uid": SOURCE}
    variables = [
        {**one, "datasource": source, "query": dialect.variable(one["query"])} for one in pickers
    ]
    return {
        "uid": f"golo-{dialect.kind}",
        "title": title,
        "description": description,
        "tags": ["golo", "load test"],
        "schemaVersion": 38,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,  # one cross-hair on all panels
        "refresh": "10s",
        "timezone": "browser",
        "time": {"from": "now-30m", "to": "now"},
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "weekStart": "",
        "links": [],
        "timepicker": {},
        "annotations": {"list": []},
        "templating": {"list": [_source_picker(dialect.kind), *variables]},
        "panels": list(_placed(dialect, source, rows)),
    }


def _source_picker(kind: str) -> Json:
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "query": kind,
        "refresh": 1,
        "regex": "",
        "hide": 0,
        "skipUrlSync": False,
        "multi": False,
        "includeAll": False,
        "current": {},
        "options": [],
    }


def _placed(dialect: Dialect, source: Json, rows: Mapping[str, Sequence[Json]]) -> Iterator[Json]:
    number = top = 0
    for title, panels in rows.items():
        number += 1
        head = {"h": 1, "w": GRID, "x": 0, "y": top}
        yield {
            "id": number,
            "type": "row",
            "title": title,
            "collapsed": False,
            "gridPos": head,
            "panels": [],
        }
        top += 1
        left = height = 0
        for one in panels:
            number += 1
            size = one["gridPos"]
            if left + size["w"] > GRID:
                top, left, height = top + height, 0, 0
            form = one.pop("format")
            targets = [
                {
                    **dialect.target(each.query, each.legend, form),
                    "refId": chr(ord("A") + index),
                    "datasource": source,
                }
                for index, each in enumerate(one["targets"])
            ]
            position = {**size, "x": left, "y": top}
            yield {
                "id": number,
                **one,
                "datasource": source,
                "gridPos": position,
                "targets": targets,
            }
            left += size["w"]
            height = max(height, size["h"])
        top += height
