"""The guard in tests/conftest.py: whatever it watches for does fail a test."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).parents[1] / "conftest.py"

OFFENCES = {
    "a failure nobody took": "defer.fail(ValueError('nobody took me'))",
    "a failure nobody took in a cycle": "d = defer.fail(ValueError('nobody took me')); d.cycle = d",
    "a logged error": "Logger().error('it went wrong')",
    "a logged failure": "Logger().failure('it went wrong', Failure(ValueError('why')))",
    "a forgotten delayed call": "reactor.callLater(60, print, 'never')",
}

TEST = """
from twisted.internet import defer, reactor
from twisted.logger import Logger
from twisted.python.failure import Failure

def test_one(logged_errors):
    {body}

def test_next():
    pass
"""


def outcomes(pytester: pytest.Pytester, body: str) -> dict[str, int]:
    """Run a test with this body, and an innocent one after it, under the project's conftest."""
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makepyfile(TEST.format(body=body))
    return pytester.runpytest_subprocess("-p", "no:cacheprovider").parseoutcomes()


@pytest.mark.parametrize("body", OFFENCES.values(), ids=OFFENCES.keys())
def test_an_offence_fails_its_own_test_only(pytester: pytest.Pytester, body: str) -> None:
    """A test that leaves something behind errs, and the test after it does not."""
    assert outcomes(pytester, body) == {"passed": 2, "errors": 1}


def test_an_expected_error_is_taken_out(pytester: pytest.Pytester) -> None:
    """A test that expects a logged failure flushes it and passes; one of another type stays."""
    expected = (
        "Logger().failure('w', Failure(ValueError())); assert len(logged_errors.flush({})) == {}"
    )
    assert outcomes(pytester, expected.format("ValueError", 1)) == {"passed": 2}
    assert outcomes(pytester, expected.format("KeyError", 0)) == {"passed": 2, "errors": 1}
