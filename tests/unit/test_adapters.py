"""The adapters of k6, vegeta and hey: their results from recorded lines, and their options."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from goloagent import sdk
from goloagent.sdk.reporting import result_line

ADAPTERS = Path(__file__).parents[2] / "examples" / "adapters"
VECTORS = Path(__file__).parents[1] / "vectors"


def adapter(name: str) -> ModuleType:
    """Import an adapter."""
    spec = importlib.util.spec_from_file_location(name, ADAPTERS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Collect results in place of printing them."""
    results: list[dict[str, Any]] = []

    def report(**members: Any) -> None:
        line = result_line(**{"size": -1, "error": None, "sequence_id": "", **members})
        results.append(json.loads(line))

    monkeypatch.setattr(sdk, "report", report)
    return results


def columns(result: dict[str, Any], names: str) -> list[Any]:
    """Return members of a result."""
    return [result[name] for name in names.split()]


def test_the_lines_of_k6(results: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    """Each request is one result, of its points; the summary is printed to stderr."""
    adapter("k6_run").report((VECTORS / "k6.ndjson").read_text().splitlines(keepends=True))
    assert [columns(result, "method url status duration error") for result in results] == [
        ["GET", "http://127.0.0.1/cart", 200, 12_345_678, None],
        ["POST", "an item", 404, 3_500_000, "unexpected status 404"],
        ["GET", "http://127.0.0.1:1/", 0, 0, "dial: connection refused"],
    ]
    assert [columns(result, "size timestamp") for result in results] == [
        [-1, "2026-11-28T10:00:00.123456+01:00"],
        [-1, "2026-11-28T10:00:00.200000+00:00"],
        [-1, "2026-11-28T10:00:01.000000+00:00"],
    ]
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(":")[0].strip(" .") for line in err.splitlines()] == [
        "",
        "http_req_failed",
        "http_reqs",
    ]


def test_the_lines_of_vegeta(results: list[dict[str, Any]]) -> None:
    """Each hit is one result, whose time is that of its end."""
    module = adapter("vegeta_run")
    for line in (VECTORS / "vegeta.ndjson").read_text().splitlines():
        module.report(json.loads(line))
    assert [columns(result, "method url status size duration") for result in results] == [
        ["GET", "http://127.0.0.1:18099/cart", 200, 2, 1_593_777],
        ["POST", "http://127.0.0.1:18099/failing", 501, 357, 812_410],
        ["GET", "http://127.0.0.1:1/closed", 0, 0, 210_162],
    ]
    assert [result["timestamp"] for result in results] == [
        "2026-11-28T17:06:10.056860+00:00",
        "2026-11-28T17:06:10.075902+00:00",
        "2026-11-28T17:06:10.135326+00:00",
    ]
    assert [result["error"] for result in results] == [
        None,
        "501 Unsupported method ('POST')",
        'Get "http://127.0.0.1:1/closed": dial tcp 0.0.0.0:0->127.0.0.1:1: connect: connection '
        "refused",
    ]


@pytest.mark.parametrize(
    ("name", "arguments", "options"),
    [
        ("hey_run", ["http://a/"], ["-c", "5", "-z", "2.5s"]),
        ("hey_run", ["-n", "9", "http://a/"], ["-c", "5"]),
        ("hey_run", ["-n=9", "--c=3", "http://a/"], []),
        ("hey_run", ["-c", "3", "-z", "1s", "http://a/"], []),
        ("vegeta_run", [], ["-duration=2.5s", "-rate=0", "-max-workers=5"]),
        ("vegeta_run", ["-rate", "200"], ["-duration=2.5s"]),
        ("vegeta_run", ["-rate=0", "-max-workers=2", "--duration=1s"], []),
        ("k6_run", ["script.js"], ["--config", "k6-defaults.json"]),
        ("k6_run", ["--config=x", "script.js"], []),
    ],
)
def test_the_options_that_are_missing(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    arguments: list[str],
    options: list[str],
) -> None:
    """The users and the duration of the job are those of the generator, if it has none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOLO_USERS", "5")
    monkeypatch.setenv("GOLO_DURATION", "2.5")
    assert adapter(name).defaults(arguments) == options
    if "--config" in options:
        written = json.loads((tmp_path / "k6-defaults.json").read_text())
        assert written == {"vus": 5, "duration": "2.5s"}


@pytest.mark.parametrize("name", ["hey_run", "vegeta_run"])
def test_the_end_is_before_that_of_the_job(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A tenth of its time before, at most two seconds; without a time, never."""
    module = adapter(name)
    monkeypatch.setattr(module.time, "clock_gettime", lambda clock: 1000.5)
    ticks = 1000 * os.sysconf("SC_CLK_TCK")
    stat = f"1 (a b) c) S {' '.join('0' * 18)} {ticks} 0 0\n"
    monkeypatch.setattr(module.Path, "read_text", lambda path: stat)
    for seconds, left in (("10", 8.5), ("600", 597.5), ("0.1", 0.001), ("0", 0)):
        monkeypatch.setenv("GOLO_DURATION", seconds)
        assert module.seconds_left() == pytest.approx(left)
