"""A dashboard as Grafana runs it: variables and queries of its JSON, sent to a data source."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import attrs
import treq
from twisted.internet import reactor
from twisted.web.client import HTTPConnectionPool

DASHBOARDS = Path(__file__).parents[2] / "etc/grafana"
# Grafana's shortest window of a rate, of samples that are a second apart.
RATE_SECONDS = 4


@attrs.frozen
class Span:
    """The time range of a dashboard, in seconds since the epoch."""

    start: float
    end: float


@attrs.frozen
class Series:
    """Values over time, or one row of a table, whose value is a dict of its columns."""

    labels: dict[str, str]
    points: list[tuple[float, Any]]

    @property
    def last(self) -> Any:
        """The value that a panel with one number shows."""
        return self.points[-1][1]


class Source(Protocol):
    """A data source."""

    def builtins(self, span: Span) -> dict[str, str]:
        """Return Grafana's own variables."""

    async def values(self, query: str, span: Span) -> list[str]:
        """Return the values of a variable."""

    async def run(self, target: Mapping[str, Any], query: str, span: Span) -> list[Series]:
        """Return the series that a target shows."""


class Dashboard:
    """A dashboard of `etc/grafana`."""

    def __init__(self, name: str) -> None:
        self.json: dict[str, Any] = json.loads((DASHBOARDS / f"{name}.json").read_text())

    @property
    def panels(self) -> list[dict[str, Any]]:
        """The panels with queries."""
        return [panel for panel in self.json["panels"] if panel["type"] != "row"]

    def targets(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield each query: its panel, a key that is unique, and the target."""
        for panel in self.panels:
            for target in panel["targets"]:
                yield panel["title"], f"{panel['title']} {target['refId']}", target

    async def choose(self, source: Source, span: Span, wanted: Mapping[str, str]) -> dict[str, str]:
        """Return the values of the pickers, each chosen from what its query returns.

        Raises:
            AssertionError: a picker does not offer what is wanted.
        """
        chosen: dict[str, str] = {}
        for variable in self.json["templating"]["list"]:
            name, query = variable["name"], variable["query"]
            if variable["type"] == "datasource":
                continue
            text = query["query"] if isinstance(query, dict) else query
            offered = await source.values(interpolate(text, chosen), span)
            if variable["includeAll"]:
                assert offered, f"{name}: nothing is offered"
                chosen[name] = variable["allValue"]
            else:
                assert wanted[name] in offered, f"{name}: {offered}"
                chosen[name] = wanted[name]
        return chosen

    async def run(
        self, source: Source, span: Span, chosen: Mapping[str, str]
    ) -> dict[str, list[Series]]:
        """Return the series of every target by its key, as a look at the dashboard would."""
        names = {**chosen, **source.builtins(span)}
        found = {}
        for _, key, target in self.targets():
            query = interpolate(target.get("expr") or target["query"], names)
            found[key] = await source.run(target, query, span)
        return found


def interpolate(text: str, values: Mapping[str, str]) -> str:
    """Replace variables as Grafana does.

    Raises:
        AssertionError: a variable is not known.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        assert name in values, f"${name} is not a variable: {text}"
        return values[name]

    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, text)


class Http:
    """GET of JSON."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._pool = HTTPConnectionPool(reactor, persistent=False)

    async def get(self, path: str, **query: Any) -> Any:
        """Return the decoded response.

        Raises:
            AssertionError: the status is not 200; with the body.
        """
        answer = await treq.get(f"{self.url}{path}?{urlencode(query, True)}", pool=self._pool)
        body = await treq.content(answer)
        assert answer.code == 200, (query, body)
        return json.loads(body)


class PromQL:
    """The Prometheus data source."""

    def __init__(self, url: str) -> None:
        self._http = Http(url)

    def builtins(self, span: Span) -> dict[str, str]:
        return {
            "__rate_interval": f"{RATE_SECONDS}s",
            "__interval": "1s",
            "__range": f"{round(span.end - span.start)}s",
        }

    async def values(self, query: str, span: Span) -> list[str]:
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        assert found, query
        times = {"start": span.start, "end": span.end}
        path = f"/api/v1/label/{found[2]}/values"
        answer = await self._http.get(path, **{"match[]": found[1], **times})
        return answer["data"]

    async def run(self, target: Mapping[str, Any], query: str, span: Span) -> list[Series]:
        if target["instant"]:
            answer = await self._http.get("/api/v1/query", query=query, time=span.end)
        else:
            answer = await self._http.get(
                "/api/v1/query_range", query=query, start=span.start, end=span.end, step=1
            )
        assert answer["status"] == "success", answer
        return [self._series(one) for one in answer["data"]["result"]]

    def _series(self, result: dict[str, Any]) -> Series:
        floats = (
            result.get("values") or [result["value"]] if result.keys() & {"values", "value"} else []
        )
        points = [(time, float(value)) for time, value in floats if value != "NaN"]
        bars = result.get("histograms") or [result[key] for key in ("histogram",) if key in result]
        return Series(result["metric"], [*points, *((time, bar) for time, bar in bars)])


class InfluxQL:
    """The InfluxDB data source, with InfluxQL."""

    def __init__(self, url: str, database: str) -> None:
        self._http = Http(url)
        self._database = database

    def builtins(self, span: Span) -> dict[str, str]:
        times = [round(time * 1000) for time in (span.start, span.end)]
        return {
            "timeFilter": f"time >= {times[0]}ms and time <= {times[1]}ms",
            "__interval": "1s",
            "__interval_ms": "1000",
        }

    async def values(self, query: str, span: Span) -> list[str]:
        return [row["value"] for series in await self._query(query) for _, row in series.points]

    async def run(self, target: Mapping[str, Any], query: str, span: Span) -> list[Series]:
        series = await self._query(query)
        if target["resultFormat"] == "table":
            return [Series(one.labels, [point]) for one in series for point in one.points]
        found = []
        for one in series:
            points = [(time, next(iter(row.values()))) for time, row in one.points]
            assert all(len(row) == 1 for _, row in one.points), query
            found.append(Series(one.labels, [point for point in points if point[1] is not None]))
        return [one for one in found if one.points]

    async def _query(self, query: str) -> list[Series]:
        answer = await self._http.get("/query", db=self._database, q=query, epoch="ms")
        (result,) = answer["results"]
        assert "error" not in result, (query, result)
        series = []
        for one in result.get("series", []):
            rows = [dict(zip(one["columns"], row, strict=True)) for row in one["values"]]
            points = [(row.pop("time", 0) / 1000, row) for row in rows]
            series.append(Series(one.get("tags", {}), points))
        return series
