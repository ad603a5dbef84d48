"""Steering: changes of a running job's load by clients. Pure.

The members of a change are figures of the whole fleet, as those of the job.
"""

from __future__ import annotations

from typing import Annotated

import attrs
from msgspec import Meta, Struct

from goloagent.core.profile.load_profile import LoadProfile
from goloagent.core.profile.parser import (
    MAX_RATE,
    MAX_SECONDS,
    MAX_USERS,
    InvalidProfile,
    check_poisson_rate,
    read_seconds,
)
from goloagent.core.profile.ramp import NS

MAX_CHANGES = 1_000


class ChangeRequest(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The JSON object of ``PATCH /jobs/<id>``: a change of the load of a running job.

    `users` or `rate` replaces all stages to come. `duration` counts from the start of the load.
    """

    users: Annotated[float, Meta(ge=0, le=MAX_USERS)] | None = None
    rate: Annotated[float, Meta(ge=0, le=MAX_RATE, description="per second")] | None = None
    paused: bool | None = None
    duration: Annotated[float | str | None, Meta(description="seconds, or a text such as 5m")] = (
        None
    )


class Change(Struct, frozen=True, omit_defaults=True):
    """A change that was made, `at` seconds from the start of the load."""

    at: float
    users: float | None = None
    rate: float | None = None
    paused: bool | None = None
    duration: float | None = None


class InvalidChange(ValueError):
    """The change does not fit the job; the message says what does."""


class ImpossibleChange(Exception):
    """The job's state allows no change; the message says why."""


@attrs.define
class Steering:
    """The load of a running job as its clients have changed it.

    Attributes:
        planned: the load without a pause.
        is_driven: whether the agent makes calls, so that more than the duration can be changed.
        is_paused: whether nothing starts at present; the time goes on.
    """

    planned: LoadProfile
    is_driven: bool = True
    is_paused: bool = False
    changes: int = attrs.field(default=0, init=False)

    @property
    def model(self) -> str:
        """The member of a change that replaces the level: ``users`` or ``rate``."""
        return "users" if self.planned.model == "closed" else "rate"

    def change(self, request: ChangeRequest, now: int) -> Change:
        """Apply a change `now` nanoseconds after the start of the load; return what was made.

        Raises:
            InvalidChange: the change is empty or not one of this model, nothing is changed.
            ImpossibleChange: the job was changed `MAX_CHANGES` times.
        """
        if self.changes >= MAX_CHANGES:
            raise ImpossibleChange(f"the job was changed {MAX_CHANGES:,} times: start another one")
        if not self.is_driven and request != ChangeRequest(duration=request.duration):
            raise InvalidChange("this job drives itself: give duration only")
        if request == ChangeRequest():
            raise InvalidChange(f"give {self.model}, paused or duration")
        other = "rate" if self.model == "users" else "users"
        if getattr(request, other) is not None:
            raise InvalidChange(f"this job has {self.model}, not {other}: give {self.model}")
        duration = None
        planned = self.planned
        if request.duration is not None:
            try:
                duration = read_seconds("duration", request.duration, MAX_SECONDS)
            except InvalidProfile as error:
                raise InvalidChange(str(error)) from None
            planned = planned.ending(max(now, round(duration * NS)))
        level = getattr(request, self.model)
        if level is not None:
            if planned.arrivals == "poisson":
                _check_poisson_rate(level)
            planned = planned.holding(level, now)
        self.planned = planned
        if request.paused is not None:
            self.is_paused = request.paused
        self.changes += 1
        return Change(
            at=round(now / NS, 3),
            users=request.users,
            rate=request.rate,
            paused=request.paused,
            duration=duration,
        )

    def profile(self, now: int) -> LoadProfile:
        """Return the load from now on."""
        return self.planned.holding(0, now) if self.is_paused else self.planned


def _check_poisson_rate(rate: float) -> None:
    try:
        check_poisson_rate(rate)
    except InvalidProfile as error:
        raise InvalidChange(str(error)) from None
