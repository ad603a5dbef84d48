"""Every answer has its verdict, and every retry its delay."""

from __future__ import annotations

import random

import pytest

from goloagent.outputs.retry import FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS, Backoff
from goloagent.outputs.sink import Disposition, Response

DIVIDED = {400, 413, 422}
RETRIED = {408, 425, 429}


def test_every_status_has_its_verdict() -> None:
    """The whole table: 2xx is taken, a few divide or retry, 5xx retries, all else holds."""
    for status in range(100, 1000):
        if 200 <= status < 300:
            verdict = Disposition.DELIVERED
        elif status in DIVIDED:
            verdict = Disposition.SPLIT
        elif status in RETRIED or status >= 500:
            verdict = Disposition.RETRY
        else:
            verdict = Disposition.PAUSE
        assert Response(status=status, retry_after=1.0, text="x").disposition is verdict, status


@pytest.mark.parametrize(
    ("certificate", "verdict"), [(True, Disposition.PAUSE), (False, Disposition.RETRY)]
)
def test_no_answer_is_retried_but_for_a_certificate(
    certificate: bool, verdict: Disposition
) -> None:
    """What the network does passes; a wrong certificate waits for a person."""
    assert Response(error="no", certificate=certificate).disposition is verdict


def test_an_answer_is_told_in_short() -> None:
    """People see the status and the beginning of the text, or why there is none."""
    assert str(Response(status=503, text="busy\n")) == "503 busy"
    assert len(str(Response(status=500, text="x" * 9999))) < 300
    assert str(Response(error="no answer: refused")) == "no answer: refused"


def test_delays_have_full_jitter_below_a_doubling_bound() -> None:
    """The n-th delay lies anywhere from 0 to 0.1 s doubled n times, and to 30 s at last."""
    bound = FIRST_DELAY_SECONDS
    backoffs = [Backoff(random.Random(seed)) for seed in range(300)]
    for _ in range(12):
        delays = [backoff.next_delay(None) for backoff in backoffs]
        assert 0 <= min(delays) < 0.05 * bound
        assert 0.95 * bound < max(delays) <= bound
        bound = min(2 * bound, MAX_DELAY_SECONDS)
    assert bound == MAX_DELAY_SECONDS


def test_an_answer_resets_the_delays() -> None:
    """After success the next outage begins with short delays again."""
    backoff = Backoff(random.Random(1))
    for _ in range(20):
        backoff.next_delay(None)
    backoff.reset()
    assert backoff.next_delay(None) <= FIRST_DELAY_SECONDS


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [(None, 0, 0.1), (0.0, 0, 0.1), (7.0, 7, 7), (300.0, 300, 300), (1e9, 300, 300)],
)
def test_retry_after_is_honoured_up_to_300_seconds(
    asked: float | None, least: float, most: float
) -> None:
    """The collector's wish is the least delay, within reason."""
    assert least <= Backoff(random.Random(1)).next_delay(asked) <= most


def test_an_hour_of_outage_costs_at_most_300_requests() -> None:
    """However the dice fall, an outage is not hammered at."""
    for seed in range(50):
        backoff, passed, requests = Backoff(random.Random(seed)), 0.0, 0
        while passed < 3600:
            requests += 1
            passed += backoff.next_delay(None)
        assert requests <= 300
