"""A job's account always adds up."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.core.job_spec import JobSpec
from goloagent.jobs.job import CallCounts, Job, ResultCounts, State

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
COUNT = st.integers(0, 10**12)


@given(COUNT, COUNT, COUNT, COUNT)
def test_the_account_adds_up(invalid: int, delivered: int, rejected: int, pending: int) -> None:
    """Of what is read, each line is invalid, delivered, rejected or pending."""
    read = invalid + delivered + rejected + pending
    results = ResultCounts(read=read, invalid=invalid, delivered=delivered, rejected=rejected)
    assert results.read == results.valid + results.invalid
    assert results.pending == pending


def test_calls_that_have_not_returned_are_in_flight() -> None:
    """A call is in flight until it has succeeded or failed."""
    assert CallCounts(started=10, ok=6, failed=3).in_flight == 1


@pytest.mark.parametrize("state", list(State))
def test_four_states_are_the_end(state: State) -> None:
    """Nothing more runs in the four final states, and only there."""
    assert state.over == (state.value in {"finished", "failed", "cancelled", "interrupted"})


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("delivered", [0, 1])
def test_a_job_is_settled_when_it_is_over_and_delivered(state: State, delivered: int) -> None:
    """A job may still change while it is not over or a result is pending."""
    job = Job("id", JobSpec("n", 1, 1, "b"), NOW, state)
    job.restore_results(ResultCounts(read=2, invalid=1, delivered=delivered))
    assert job.fully_delivered == (state.over and delivered == 1)
