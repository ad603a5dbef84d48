"""Fail tests on faults that pytest-twisted ignores, and on skipped tests of promises.

The faults are unhandled failures of Deferreds, logged errors, and pending delayed calls.
"""

from __future__ import annotations

import gc
import inspect
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import pytest_twisted
from twisted.internet import task
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

_REACTOR_TURNS = 5
_TESTS = Path(__file__).parent
_DOCS = _TESTS.parent / "docs"
# Markers whose tests run only if GOLO_<MARKER> is set.
_ON_REQUEST = ("soak", "screenshots")

# In GitHub Actions golo prints more, and adds to the page of the job, which is that of the tests.
for _name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
    os.environ.pop(_name, None)

# On shared machines the duration of an example, and of its choice, means nothing.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of CI."""
    parser.addoption(
        "--fail-skipped-promises",
        action="store_true",
        help="fail skipped tests of the files that docs/reliability.md and docs/security.md name",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests that run on request only."""
    unwanted = [name for name in _ON_REQUEST if not os.environ.get(f"GOLO_{name.upper()}")]
    deselected = [item for item in items if any(map(item.get_closest_marker, unwanted))]
    config.hook.pytest_deselected(items=deselected)
    items[:] = [item for item in items if item not in deselected]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Run tests that are coroutines in the reactor."""
    if inspect.iscoroutinefunction(getattr(item, "function", None)):
        pytest_twisted.ensureDeferred(item.function)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Turn the skip of a promise's test into a failure, if the option is set."""
    report: Any = yield
    must_run = item.config.getoption("--fail-skipped-promises") and item.path in promise_files()
    if report.skipped and must_run:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} tests a promise and was skipped: {report.longrepr}"
    return report


@cache
def promise_files() -> frozenset[Path]:
    """Return the test files that the tables of promises name."""
    pages = [(_DOCS / name).read_text("utf-8") for name in ("reliability.md", "security.md")]
    named = re.findall(r"`([\w/]+\.py)(?:::\w+)?`", "\n".join(pages))
    paths = [_TESTS / below / name for name in named for below in ("", "integration")]
    promises = (_TESTS / "integration" / "promises").glob("test_*.py")
    return frozenset([*promises, *filter(Path.exists, paths)])


def pytest_collection_finish() -> None:
    """Exclude objects from before the first test from the collection after each test."""
    gc.collect()
    gc.freeze()


class LoggedErrors:
    """The errors logged during a test; a test removes expected ones by `flush`."""

    def __init__(self) -> None:
        self._events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        """Store an event of level error or above."""
        if event.get("log_level", LogLevel.info) >= LogLevel.error or event.get("isError"):
            self._events.append(event)

    def flush(self, *types: type[BaseException]) -> list[LogEvent]:
        """Return and remove the events whose failure is of one of `types` (default: any).

        Unhandled failures of Deferreds are logged by the collection that this starts.
        """
        gc.collect()
        flushed = [event for event in self._events if not types or _is_of(event, types)]
        self._events = [event for event in self._events if event not in flushed]
        return flushed


def _is_of(event: LogEvent, types: tuple[type[BaseException], ...]) -> bool:
    failure = event.get("log_failure")
    return failure is not None and failure.check(*types) is not None


def _text(event: LogEvent) -> str:
    failure = event.get("log_failure")
    return formatEvent(event) + (f"\n{failure.getTraceback()}" if failure is not None else "")


@pytest.fixture(autouse=True)
def logged_errors() -> Iterator[LoggedErrors]:
    """Fail the test on logged errors, unhandled failures and pending delayed calls."""
    from twisted.internet import reactor

    errors = LoggedErrors()
    before = set(reactor.getDelayedCalls())
    globalLogPublisher.addObserver(errors)
    try:
        yield errors
        _turn(reactor)
        left = [call for call in reactor.getDelayedCalls() if call not in before]
        passed_over = [_text(event) for event in errors.flush()]
    finally:
        globalLogPublisher.removeObserver(errors)
    passed_over += [f"delayed call left behind: {call}" for call in left]
    for call in left:
        call.cancel()
    if passed_over:
        pytest.fail("\n".join(passed_over), pytrace=False)


def _turn(reactor: Any) -> None:
    """Let the reactor finish what is due, such as closing a connection that a test has dropped."""
    for _ in range(_REACTOR_TURNS):
        pytest_twisted.blockon(task.deferLater(reactor, 0))
