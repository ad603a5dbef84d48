"""The disposition of every response, and the delays of retries."""

from __future__ import annotations

import random

import pytest

from goloagent.outputs.retry import FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS, Backoff
from goloagent.outputs.sink import Disposition, Response

SPLIT = {400, 413, 422}
RETRY = {408, 425, 429}


def test_every_status() -> None:
    """2xx is delivered, a few split or retry, 5xx retry, and all others pause."""
    for status in range(100, 1000):
        if 200 <= status < 300:
            disposition = Disposition.DELIVERED
        elif status in SPLIT:
            disposition = Disposition.SPLIT
        elif status in RETRY or status >= 500:
            disposition = Disposition.RETRY
        else:
            disposition = Disposition.PAUSE
        assert Response(status=status, retry_after=1.0, text="x").disposition is disposition, status


@pytest.mark.parametrize(
    ("certificate", "disposition"), [(True, Disposition.PAUSE), (False, Disposition.RETRY)]
)
def test_no_response(certificate: bool, disposition: Disposition) -> None:
    """Faults of the network are retried; an invalid certificate pauses the output."""
    assert Response(error="no", certificate=certificate).disposition is disposition


def test_the_text_of_a_response() -> None:
    """It is the status and the beginning of the body, or the error."""
    assert str(Response(status=503, text="busy\n")) == "503 busy"
    assert len(str(Response(status=500, text="x" * 9999))) < 300
    assert str(Response(error="no answer: refused")) == "no answer: refused"


def test_delays_have_full_jitter_below_a_doubling_bound() -> None:
    """The n-th delay is between 0 and 0.1 s doubled n times, up to 30 s."""
    bound = FIRST_DELAY_SECONDS
    backoffs = [Backoff(random.Random(seed)) for seed in range(300)]
    for _ in range(12):
        delays = [backoff.next_delay(None) for backoff in backoffs]
        assert 0 <= min(delays) < 0.05 * bound
        assert 0.95 * bound < max(delays) <= bound
        bound = min(2 * bound, MAX_DELAY_SECONDS)
    assert bound == MAX_DELAY_SECONDS


def test_a_response_resets_the_delays() -> None:
    """After a success the next outage begins with short delays."""
    backoff = Backoff(random.Random(1))
    for _ in range(20):
        backoff.next_delay(None)
    backoff.reset()
    assert backoff.next_delay(None) <= FIRST_DELAY_SECONDS
