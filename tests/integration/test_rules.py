"""promtool runs each alerting rule, with a case in which it fires and one in which it does not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue

ROOT = Path(__file__).parents[2]
RULES = ROOT / "etc/prometheus/rules.yml"

START = 'process_start_time_seconds{job="golo-agent"}'
LAG = "golo_agent_event_loop_lag_seconds_bucket"
INF = f'{LAG}{{le="+Inf"}}'
UP = 'up{job="golo-agent"}'
OUTPUT = 'golo_agent_output_%s{output="influx"}'
STATE = 'golo_agent_output_state{output="influx", state="%s"}'
FREE = 'golo_agent_disk_free_bytes{directory="logs"}'
LIMITED = 'golo_agent_generator_limited_seconds_total{cause="agent-cpu"}'
FAILED = 'golo_agent_jobs_ended_total{state="failed"}'
PASSED = "golo_agent_last_job_passed"

# Of each alert: series that fire, and series that do not. One value is a minute; an x repeats it.
CASES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "GoloAgentDown": ({UP: "0x180"}, {UP: "1x177 0 0 1"}),
    "GoloAgentMissing": ({'up{job="other"}': "1x180"}, {UP: "1x180"}),
    "GoloAgentNotReady": ({"golo_agent_ready": "0x180"}, {"golo_agent_ready": "1x177 0 0 1"}),
    "GoloAgentRestarts": ({START: "1x170 2 3 4x9"}, {START: "1x170 2 3x9"}),
    "GoloAgentRestarted": ({START: "1x170 2x9"}, {START: "1 2x180"}),
    "GoloOutputHolding": ({STATE % "holding": "1x180"}, {STATE % "holding": "0x180"}),
    "GoloOutputRetrying": ({STATE % "retrying": "0x165 1x15"}, {STATE % "retrying": "0x175 1x5"}),
    "GoloOutputLags": ({OUTPUT % "lag_seconds": "301x180"}, {OUTPUT % "lag_seconds": "300x180"}),
    "GoloResultsRejected": (
        {OUTPUT % "rejected_total": "0x170 1x10"},
        {OUTPUT % "rejected_total": "0 1x180"},
    ),
    "GoloResultsAbandoned": (
        {OUTPUT % "abandoned_total": "0x170 5x10"},
        {OUTPUT % "abandoned_total": "0 5x180"},
    ),
    "GoloDiskFills": ({FREE: "18e9-6e7x180"}, {FREE: "18e9-1e6x180"}),
    "GoloDiskAlmostFull": ({FREE: "9e8x180"}, {FREE: "11e8x180"}),
    "GoloAgentTooBusy": (
        {f'{LAG}{{le="0.1"}}': "0+500x180", f'{LAG}{{le="1"}}': "0+600x180", INF: "0+600x180"},
        {f'{LAG}{{le="0.1"}}': "0+600x180", f'{LAG}{{le="1"}}': "0+600x180", INF: "0+600x180"},
    ),
    "GoloGeneratorIsTheLimit": ({LIMITED: "0x175 10x5"}, {LIMITED: "0x175 2x5"}),
    "GoloRunsFail": ({FAILED: "0x150 5x30"}, {FAILED: "0x150 2x30"}),
    "GoloVerdictFailed": ({PASSED: "0x180"}, {PASSED: "1x180"}),
}


def rules() -> dict[str, dict[str, Any]]:
    """Return the alerting rules by name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


async def promtool(*arguments: str) -> None:
    """Assert that promtool finds no fault; skip without it."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("there is no promtool (Debian: prometheus): the rules are not tested")
    out, err, code = await getProcessOutputAndValue(program, arguments, reactor=reactor)
    assert (code, err) == (0, b""), (out + err).decode()


def case(alert: str, series: dict[str, str], severities: list[str]) -> dict[str, Any]:
    """Return a test group of promtool: the severities of the alert after three hours."""
    query = f'count by (severity) (ALERTS{{alertname="{alert}", alertstate="firing"}})'
    fired = [{"labels": f'{{severity="{severity}"}}', "value": 1} for severity in severities]
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": series[name]} for name in series],
        "promql_expr_test": [{"expr": query, "eval_time": "3h", "exp_samples": fired}],
    }


async def test_each_rule_fires_and_is_silent(tmp_path: Path) -> None:
    """Each rule has both cases, and a severity."""
    alerts = rules()
    assert alerts.keys() == CASES.keys()
    tests = []
    for alert, (firing, silent) in CASES.items():
        tests.append(case(alert, firing, [alerts[alert]["labels"]["severity"]]))
        tests.append(case(alert, silent, []))
    file = tmp_path / "rules_test.yml"
    settings = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}
    file.write_text(yaml.safe_dump(settings))
    await promtool("test", "rules", str(file))


async def test_the_examples_are_valid(tmp_path: Path) -> None:
    """The rules and the scrape configuration can be used as they are."""
    await promtool("check", "rules", str(RULES))
    scrape = tmp_path / "prometheus.yml"
    text = (RULES.parent / "prometheus.yml").read_text()
    scrape.write_text(text.replace("/etc/prometheus/golo-rules.yml", str(RULES)))
    await promtool("check", "config", str(scrape))


def test_severities_and_texts() -> None:
    """Each rule has one of three severities, a summary and what to do."""
    for alert, rule in rules().items():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}, alert
        assert rule["annotations"].keys() == {"summary", "description"}, alert
        if "absent(" not in rule["expr"]:
            assert "{{ $labels.instance }}" in rule["annotations"]["summary"], alert
