"""The members of a job's request as the API shows them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from goloagent.core.load_test_input import LoadTestInput
from goloagent.core.profile.load_profile import LoadProfile, Model, Spacing, WhenFull

Count = Annotated[int, Meta(ge=0)]


class StageResource(Struct, frozen=True, omit_defaults=True):
    """A linear ramp to ``users``, or to a ``rate`` of iterations per second, in ``duration``."""

    duration: float
    users: float | None = None
    rate: float | None = None


class LoadResource(Struct, frozen=True):
    """The load that is planned, of the whole fleet; null if it applies to the open model only."""

    model: Model
    start: float
    stages: list[StageResource]
    arrivals: Spacing | None
    max_in_flight: int | None
    when_full: WhenFull | None
    graceful_stop: Annotated[float | None, Meta(description="null: that of the agent")]
    seed: int | None


class FileResource(Struct, frozen=True):
    """A file in the load test's directory, with the content of an upload."""

    name: str
    binary: str
    split: Literal["lines"] | None
    header: bool


class ShareResource(Struct, frozen=True):
    """The part of a fleet's load that is this agent's: number `index`, from 0, of `of`."""

    index: Count
    of: Count


class RunResource(Struct, frozen=True):
    """The fleet's run that a job belongs to."""

    id: str


def load_resource(profile: LoadProfile) -> LoadResource:
    """Return the resource of a load."""
    is_open = profile.model == "open"
    return LoadResource(
        model=profile.model,
        start=profile.ramp.start,
        stages=[
            StageResource(rate=stage.target, duration=stage.seconds)
            if is_open
            else StageResource(users=stage.target, duration=stage.seconds)
            for stage in profile.ramp.stages
        ],
        arrivals=profile.arrivals if is_open else None,
        max_in_flight=profile.max_in_flight if is_open else None,
        when_full=profile.when_full if is_open else None,
        graceful_stop=profile.graceful_stop,
        seed=profile.seed if is_open else None,
    )


def file_resources(given: LoadTestInput) -> list[FileResource]:
    """Return the resources of a load test's files."""
    return [
        FileResource(file.name, file.binary, "lines" if file.split else None, file.header)
        for file in given.files
    ]
