"""The checks of tests/conftest.py fail tests that break their rules, and no other test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).parents[1] / "conftest.py"
# The bodies of tests, and whether each is an error.
BODIES = {
    "defer.fail(ValueError('unhandled'))": True,
    "d = defer.fail(ValueError('unhandled')); d.cycle = d": True,
    "Logger().error('an error')": True,
    "Logger().failure('an error', Failure(ValueError('a reason')))": True,
    "reactor.callLater(60, print, 'pending')": True,
    # Expected errors are flushed, and errors of other types stay.
    "Logger().failure('w', Failure(ValueError())); assert logged_errors.flush(ValueError)": False,
    "Logger().failure('w', Failure(ValueError())); assert not logged_errors.flush(KeyError)": True,
}
HEAD = """
from twisted.internet import defer, reactor
from twisted.logger import Logger
from twisted.python.failure import Failure
"""
TEST = """
def test_{number}(logged_errors):
    {body}

def test_next_{number}():
    pass
"""
SKIPS = """
import pytest

def test_skips():
    pytest.skip("no program")
"""


def test_a_fault_fails_its_own_test_only(pytester: pytest.Pytester) -> None:
    """Unhandled failures, logged errors and pending calls are errors of the test that has them."""
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    tests = [TEST.format(number=number, body=body) for number, body in enumerate(BODIES)]
    pytester.makepyfile(HEAD + "".join(tests))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    failed = {number for number, is_error in enumerate(BODIES.values()) if is_error}
    assert result.parseoutcomes() == {"passed": 2 * len(BODIES), "errors": len(failed)}
    assert {*map(int, re.findall(r"ERROR at teardown of test_(\d)", result.stdout.str()))} == failed


def test_skipped_tests_of_promises_fail_on_request(pytester: pytest.Pytester) -> None:
    """Files that the pages name, and those below promises/, count as tests of promises."""
    files = {
        "tests/conftest.py": CONFTEST.read_text(encoding="utf-8"),
        "tests/unit/test_named.py": SKIPS,
        "tests/unit/test_other.py": SKIPS,
        "tests/integration/promises/test_promise.py": SKIPS,
        "docs/reliability.md": "| R1 | a promise | `unit/test_named.py` |",
        "docs/security.md": "",
    }
    for name, text in files.items():
        path = pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    arguments = ("-p", "no:cacheprovider", "tests")
    assert pytester.runpytest_subprocess(*arguments).parseoutcomes() == {"skipped": 3}
    result = pytester.runpytest_subprocess("--fail-skipped-promises", *arguments)
    assert result.parseoutcomes() == {"skipped": 1, "failed": 2}
    assert "tests a promise and was skipped" in result.stdout.str()
