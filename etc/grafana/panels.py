"""The kinds of panels of a dashboard, in the schema of Grafana 10."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

Json = dict[str, Any]

GRID = 24  # columns of a dashboard


class Target(NamedTuple):
    """One query of a panel."""

    query: str
    legend: str = ""


Targets = Sequence[Target] | str


def panel(
    kind: str,
    title: str,
    description: str,
    targets: Targets,
    *,
    format_: str = "series",
    unit: str = "short",
    width: int = GRID // 2,
    steps: Sequence[tuple[float | None, str]] = ((None, "green"),),
    custom: Json | None = None,
    options: Json | None = None,
    overrides: Sequence[Json] = (),
    mappings: Sequence[Json] = (),
    minimum: float | None = None,
) -> Json:
    """Return a panel; `steps` are thresholds: from which value on it has which colour."""
    defaults: Json = {
        "unit": unit,
        "custom": custom or {},
        "mappings": list(mappings),
        "thresholds": {
            "mode": "absolute",
            "steps": [{"value": value, "color": colour} for value, colour in steps],
        },
    }
    if minimum is not None:
        defaults["min"] = minimum
    return {
        "type": kind,
        "title": title,
        "description": description,
        "gridPos": {"h": 4 if kind == "stat" else 8, "w": width},
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": options or {},
        "targets": [Target(targets)] if isinstance(targets, str) else list(targets),
        "format": format_,
    }


def stat(title: str, description: str, targets: Targets, **more: Any) -> Json:
    """Return a panel with one number for each target: the last value."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "values": False, "fields": ""},
        "colorMode": "value" if "steps" in more else "none",
        "graphMode": "none",
        "textMode": "auto",
        "justifyMode": "auto",
        "orientation": "auto",
    }
    return panel("stat", title, description, targets, format_="instant", options=options, **more)


def chart(title: str, description: str, targets: Targets, **more: Any) -> Json:
    """Return lines over time, from zero on."""
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    custom = {"fillOpacity": 8, "lineWidth": 1, "showPoints": "never", "spanNulls": False}
    more.setdefault("minimum", 0)
    return panel("timeseries", title, description, targets, options=options, custom=custom, **more)


def heatmap(
    title: str, description: str, targets: Targets, *, rows: bool = False, **more: Any
) -> Json:
    """Return a heat map of counts over time and seconds; `rows`: a target is one row of it."""
    options: Json = {
        "calculate": False,
        "cellGap": 0,
        "cellValues": {"unit": "short"},
        "color": {
            "mode": "scheme",
            "scheme": "Oranges",
            "scale": "exponential",
            "exponent": 0.5,
            "fill": "dark-orange",
            "reverse": False,
            "steps": 64,
        },
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "showValue": "never",
        "tooltip": {"show": True, "yHistogram": False},
        "yAxis": {"axisPlacement": "left", "unit": "s"},
    }
    if rows:
        options["rowsFrame"] = {"layout": "le", "value": "results"}
    more.setdefault("width", GRID)
    return panel("heatmap", title, description, targets, format_="heatmap", options=options, **more)


def states(title: str, description: str, targets: Targets, **more: Any) -> Json:
    """Return bands of states over time."""
    options = {
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "mergeValues": True,
        "rowHeight": 0.9,
        "showValue": "never",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    custom = {"fillOpacity": 80, "lineWidth": 0}
    return panel(
        "state-timeline", title, description, targets, options=options, custom=custom, **more
    )


def table(title: str, description: str, targets: Targets, **more: Any) -> Json:
    """Return a table."""
    options = {
        "cellHeight": "sm",
        "showHeader": True,
        "footer": {"show": False, "reducer": ["sum"], "countRows": False},
    }
    return panel("table", title, description, targets, format_="table", options=options, **more)


def values(names: dict[str, tuple[str, str]]) -> list[Json]:
    """Return the texts and colours of values."""
    options = {
        value: {"text": text, "color": colour, "index": index}
        for index, (value, (text, colour)) in enumerate(names.items())
    }
    return [{"type": "value", "options": options}]


def unit_of(field: str, unit: str) -> Json:
    """Return the unit of one column of a table."""
    return {
        "matcher": {"id": "byName", "options": field},
        "properties": [{"id": "unit", "value": unit}],
    }
