"""What is a result, against Go's own JSON decoder."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from golang import build
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peers.lines import select
from unit.results.records import BY_HAND, TOO_DEEP, lines

from goloagent.results.parser import MAX_LINE_BYTES

SOURCE = Path(__file__).parents[1] / "loadtests" / "json_oracle"

Ask = Callable[[list[bytes]], list[bool]]


@pytest.fixture(scope="module")
def ask_go(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Give a function that tells which lines Go decodes."""
    program = build(SOURCE, tmp_path_factory.mktemp("json") / "json_oracle")
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as oracle:
        assert oracle.stdin is not None
        assert oracle.stdout is not None
        stdin, stdout = oracle.stdin, oracle.stdout

        def ask(asked: list[bytes]) -> list[bool]:
            stdin.write(b"".join(line + b"\n" for line in asked))
            stdin.flush()
            answers = [stdout.readline() for _ in asked]
            assert set(answers) <= {b"0\n", b"1\n"}, "the oracle is gone"
            return [answer == b"1\n" for answer in answers]

        yield ask


# Go's time.Time takes an hour of one digit, a comma, and an offset of 24 hours or 60 minutes.
_LAX_TIMESTAMP = re.compile(r"T\d:|:\d\d,\d|[+-]24:|[+-]\d\d:60")


def _may_be_refused_by_us_alone(line: bytes) -> bool:
    """Tell whether one of the rules that are ours and not Go's may forbid a line."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return True
    return len(line) > MAX_LINE_BYTES or line in TOO_DEEP or bool(_LAX_TIMESTAMP.search(text))


def _check(asked: list[bytes], ask_go: Ask) -> int:
    """Compare our answers with Go's; return how many lines are results."""
    ours = [line is not None for line in select(b"".join(line + b"\n" for line in asked))]
    for line, we, go in zip(asked, ours, ask_go(asked), strict=True):
        assert we == go or (go and _may_be_refused_by_us_alone(line)), line
    return sum(ours)


def test_hand_picked_lines_are_results_as_go_says(ask_go: Ask) -> None:
    """On lines made to divide us and Go we differ only by the rules that are ours."""
    longer = BY_HAND[0].replace(b"GET", b"G" * MAX_LINE_BYTES)
    results = _check([*BY_HAND, longer], ask_go)
    print(f"{len(BY_HAND) + 1} lines asked, {results} are results")
    assert 0 < results < len(BY_HAND)


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(asked=st.lists(lines, min_size=1, max_size=10))
def test_generated_lines_are_results_as_go_says(ask_go: Ask, asked: list[bytes]) -> None:
    """On lines found by Hypothesis we differ from Go only by the rules that are ours."""
    _check(asked, ask_go)
