"""The outcome of one run's pushes, which decides when and how large the next one is. Pure."""

from __future__ import annotations

import attrs

from goloagent.outputs.batch_size import MAX_BATCH_RESULTS
from goloagent.outputs.retry import Backoff
from goloagent.outputs.status import OK

# A run that fails more often than this in a row, while others are delivered, counts as refused.
_MAX_FAILURES = 5


@attrs.define
class Attempts:
    """The attempts of one run.

    Args:
        proven: results of the run were delivered, and it was not refused since.
        state: of this run alone, like `error`, which is None without an error of its own.
        resume_at: the time before which there is no attempt.
        rejections: its rejected results, less those delivered since.
        failures: pushes in a row without a response that counts.
        failed_after: the number of deliveries of the output at the last failure.
        max_results: of a batch of this run.
    """

    proven: bool = False
    state: str = OK
    error: str | None = None
    resume_at: float = 0.0
    rejections: int = 0
    failures: int = 0
    failed_after: int | None = None
    max_results: int = MAX_BATCH_RESULTS
    backoff: Backoff = attrs.Factory(Backoff)

    @property
    def is_probe(self) -> bool:
        """Whether the next push will probably be refused, so that it needs a probe."""
        return self.error is not None and (not self.failures or self.failures > _MAX_FAILURES)

    def is_own_failure(self, deliveries: int) -> bool:
        """Return whether others were delivered since the last failure of this run."""
        return self.failed_after is not None and deliveries > self.failed_after

    def fail(self, deliveries: int) -> None:
        """Note a failure when the output has made a number of deliveries."""
        self.failures += 1
        self.failed_after = deliveries

    def forget_failures(self) -> None:
        """Note a response that counts."""
        self.failures, self.failed_after = 0, None

    def shrink(self, failed_results: int) -> None:
        """Halve the size of batches after one with a number of results failed."""
        self.max_results = max(1, failed_results // 2)

    def succeed(self, results: int) -> None:
        """Note a delivery of a number of results."""
        self.rejections = 0 if self.is_probe else max(0, self.rejections - results)
        self.proven = True
        self.state, self.error = OK, None
        self.forget_failures()
        self.backoff.reset()
        self.max_results = min(2 * self.max_results, MAX_BATCH_RESULTS)

    def pause(self, state: str, error: str, resume_at: float) -> None:
        """Note an error, and the time of the next attempt."""
        self.state, self.error, self.resume_at = state, error, resume_at
