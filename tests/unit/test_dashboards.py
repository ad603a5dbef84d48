"""The dashboards are rendered, follow Grafana's schema, and explain each panel."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard as Schema
from peers.grafana import DASHBOARDS, Dashboard, interpolate

from goloagent.outputs.metric_table import COUNTERS, DISTRIBUTIONS, GAUGES

NAMES = ["golo-influxdb", "golo-prometheus"]
# Variables of Grafana itself, and those of the legends of InfluxDB.
BUILT_IN = {"__interval", "__interval_ms", "__range", "__rate_interval", "timeFilter"}
UNITS = {value for name, value in vars(units).items() if not name.startswith("_")}


@pytest.fixture(params=NAMES)
def dashboard(request: pytest.FixtureRequest) -> Dashboard:
    """Return each dashboard."""
    return Dashboard(request.param)


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Yield where a value is not the same, or is missing, after it was read by the schema."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            yield from differences(value, theirs.get(key), f"{path}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif ours != theirs:
        yield f"{path}: {ours!r} is not {theirs!r}"


def test_the_dashboards_are_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are what the programs beside them write."""
    monkeypatch.syspath_prepend(str(DASHBOARDS))
    texts = importlib.import_module("dashboards").render()
    assert sorted(path.stem for path in texts) == NAMES
    for path, text in texts.items():
        assert path.read_text() == text, "run `make docs`"


def test_the_schema_of_grafana_has_every_member(dashboard: Dashboard) -> None:
    """Grafana's own types read the file and write it again, so that no member is misspelt."""
    register_default_plugins()
    written = json.loads(JSONEncoder().encode(Schema.from_json(dashboard.json)))
    assert list(differences(dashboard.json, written)) == []


def test_the_grid(dashboard: Dashboard) -> None:
    """Panels have ids of their own, fit into 24 columns and do not overlap."""
    panels = dashboard.json["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = []
    for panel in panels:
        x, y, w, h = (panel["gridPos"][key] for key in "xywh")
        assert min(x, y) >= 0
        assert x + w <= 24, panel["title"]
        cells.append({(column, row) for column in range(x, x + w) for row in range(y, y + h)})
    assert not any(one & two for one, two in combinations(cells, 2))


def test_variables(dashboard: Dashboard) -> None:
    """Each target has the data source of the variable, and each variable is used."""
    variables = dashboard.json["templating"]["list"]
    names = [variable["name"] for variable in variables]
    assert variables[0]["type"] == "datasource"
    source = {"type": variables[0]["query"], "uid": "${datasource}"}
    for holder in (*dashboard.panels, *variables[1:], *(t for _, _, t in dashboard.targets())):
        assert holder["datasource"] == source
    queries = [target.get("expr") or target["query"] for _, _, target in dashboard.targets()]
    queries += [str(variable["query"]) for variable in variables[1:]] + ["${datasource}"]
    used = {name for text in queries for name in re.findall(r"\$\{?(\w+)", text)}
    assert set(names) <= used <= set(names) | BUILT_IN


def test_each_panel_explains_itself(dashboard: Dashboard) -> None:
    """A panel has a title of its own, a description, a unit of Grafana, and named lines."""
    titles = [panel["title"] for panel in dashboard.panels]
    assert len(set(titles)) == len(titles)
    for panel in dashboard.panels:
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["description"].endswith("."), panel["title"]
        assert defaults["unit"] in UNITS, panel["title"]
        assert defaults["thresholds"]["steps"][0]["value"] is None, panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        if panel["type"] in {"timeseries", "state-timeline"} or len(panel["targets"]) > 1:
            for target in panel["targets"]:
                assert target.get("legendFormat") or target.get("alias"), panel["title"]


def test_an_unknown_variable_is_an_error() -> None:
    """The tests replace variables strictly."""
    assert interpolate("$a ${b}s '$a'", {"a": "1", "b": "2"}) == "1 2s '1'"
    with pytest.raises(AssertionError, match="runs"):
        interpolate("$runs", {"run": "1"})


def test_metrics_exist() -> None:
    """Dashboards and alerting rules use only metrics of the agent, and those of the timeline."""
    etc = DASHBOARDS.parent
    scraped = set(
        re.findall(r"^\| `(golo_agent_\w+)", (etc.parent / "docs/operations.md").read_text(), re.M)
    )
    written = {f"golo_{counter.name.replace('.', '_')}_total" for counter in COUNTERS}
    written |= {f"golo_{gauge.name.replace('.', '_')}" for gauge in GAUGES}
    written |= {f"golo_{distribution.name}_seconds" for distribution in DISTRIBUTIONS}
    texts = [json.dumps(Dashboard("golo-prometheus").json["panels"])]
    texts.append(json.dumps(Dashboard("golo-prometheus").json["templating"]))
    texts.append((etc / "prometheus/rules.yml").read_text())
    used = {
        name.removesuffix("_bucket")
        for text in texts
        for name in re.findall(r"\bgolo_\w+(?=[{\[, ]|$)", text)
    }
    assert len(used) > 20
    assert used <= scraped | written
