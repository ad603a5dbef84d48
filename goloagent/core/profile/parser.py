"""Read a load profile from the members ``load``, ``rate``, ``users`` and ``duration`` of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from goloagent.core.duration import parse_duration
from goloagent.core.profile.load_profile import LoadProfile, Model, Share
from goloagent.core.profile.ramp import Ramp, Stage

MAX_SECONDS = 7 * 24 * 3600
MAX_USERS = 100_000
MAX_RATE = 1_000_000
# Each arrival of a Poisson process is drawn, also one that is dropped.
MAX_POISSON_RATE = 100_000
MAX_STAGES = 1_000
MAX_IN_FLIGHT = 100_000
MAX_GRACEFUL_STOP = 3_600
_MEMBERS = ("stages", "start", "arrivals", "max_in_flight", "when_full", "graceful_stop", "seed")
_MAX_SHOWN = 1e300  # a JSON integer may be larger than any float
_MAXIMUM = {"users": MAX_USERS, "rate": MAX_RATE}


class InvalidProfile(ValueError):
    """A member is wrong; the message names it and says what is allowed."""


def constant(member: str, value: object, duration: object, share: Share = Share()) -> LoadProfile:  # noqa: B008
    """Return the profile of a constant number of ``users``, or of a constant ``rate``.

    Raises:
        InvalidProfile: the value or the duration is out of its bounds.
    """
    level = _number(member, value, _MAXIMUM[member])
    seconds = read_seconds("duration", duration, MAX_SECONDS)
    return LoadProfile(_model(member), Ramp(level, [Stage(level, seconds)]), share=share)


def parse_load(load: Mapping[str, Any], share: Share = Share()) -> LoadProfile:  # noqa: B008
    """Return the profile of a member ``load``.

    Raises:
        InvalidProfile: a member is unknown, missing or out of its bounds.
    """
    unknown = sorted(set(load) - set(_MEMBERS))
    if unknown:
        raise InvalidProfile(f"load.{unknown[0][:40]} is not known: use {', '.join(_MEMBERS)}")
    member, stages = _stages(load.get("stages"))
    start = _number("load.start", load.get("start", 0), _MAXIMUM[member])
    if member == "users":
        _only_for_rates(load)
    arrivals = _choice(load, "arrivals", ("even", "poisson"))
    if arrivals == "poisson":
        check_poisson_rate(max(start, *(stage.target for stage in stages)))
    return LoadProfile(
        model=_model(member),
        ramp=Ramp(start, stages),
        arrivals=arrivals,
        max_in_flight=_whole(load, "max_in_flight", 1, MAX_IN_FLIGHT, 5_000),
        when_full=_choice(load, "when_full", ("drop", "wait")),
        graceful_stop=_graceful_stop(load.get("graceful_stop")),
        share=share,
        seed=_whole(load, "seed", 0, 2**63 - 1, 0),
    )


def read_seconds(member: str, value: object, maximum: float) -> float:
    """Return a duration that is a number of seconds or a text such as ``90s``.

    Raises:
        InvalidProfile: it is neither, or not within 0 and the maximum.
    """
    if isinstance(value, str):
        try:
            value = parse_duration(value)
        except ValueError as error:
            raise InvalidProfile(f"{member}: {error}") from None
    return _number(member, value, maximum)


def check_poisson_rate(rate: float) -> None:
    """Check the rate of Poisson arrivals.

    Raises:
        InvalidProfile: it is too high.
    """
    if rate > MAX_POISSON_RATE:
        raise InvalidProfile(
            f"poisson arrivals of {rate:g}/s: at most {MAX_POISSON_RATE:,} are allowed; use even"
        )


def _graceful_stop(value: object) -> float | None:
    return None if value is None else read_seconds("load.graceful_stop", value, MAX_GRACEFUL_STOP)


def _model(member: str) -> Model:
    return "closed" if member == "users" else "open"


def _stages(value: object) -> tuple[str, list[Stage]]:
    """Return the member that all stages have, and the stages."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise InvalidProfile('load.stages must be a list such as [{"rate": 100, "duration": 60}]')
    if len(value) > MAX_STAGES:
        raise InvalidProfile(
            f"load.stages has {len(value)} stages: at most {MAX_STAGES} are allowed"
        )
    member, stages = "", []
    for number, stage in enumerate(value):
        place = f"load.stages[{number}]"
        found = _stage_member(place, stage)
        if member not in ("", found):
            raise InvalidProfile(
                f"{place} has {found} and the stages before it have {member}: use one of them"
            )
        member = found
        level = _number(f"{place}.{member}", stage[member], _MAXIMUM[member])
        seconds = read_seconds(f"{place}.duration", stage.get("duration"), MAX_SECONDS)
        stages.append(Stage(level, seconds))
    total = sum(stage.seconds for stage in stages)
    if not 0 < total <= MAX_SECONDS:
        raise InvalidProfile(
            f"load.stages last {total:g} s: more than 0 and at most {MAX_SECONDS} s are allowed"
        )
    return member, stages


def _stage_member(place: str, stage: object) -> str:
    if not isinstance(stage, Mapping):
        raise InvalidProfile(f'{place} must be an object such as {{"rate": 100, "duration": 60}}')
    unknown = sorted(set(stage) - {"rate", "users", "duration"})
    if unknown:
        raise InvalidProfile(f"{place}.{unknown[0][:40]} is not known: use rate or users, duration")
    found = [member for member in _MAXIMUM if member in stage]
    if len(found) != 1:
        raise InvalidProfile(f"{place} needs either rate or users")
    return found[0]


def _only_for_rates(load: Mapping[str, Any]) -> None:
    for member in ("arrivals", "max_in_flight", "when_full", "seed"):
        if member in load:
            raise InvalidProfile(f"load.{member} applies to stages with rate only: remove it")


def _number(member: str, value: object, maximum: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidProfile(f"{member} must be a number from 0 to {maximum:.15g}")
    if not 0 <= value <= maximum:  # nor NaN
        shown = "too large" if abs(value) > _MAX_SHOWN else f"{value:.15g}"
        raise InvalidProfile(f"{member} is {shown}: 0 to {maximum:.15g} is allowed")
    return float(value)


def _whole(load: Mapping[str, Any], member: str, minimum: int, maximum: int, default: int) -> int:
    value = load.get(member, default)
    if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
        raise InvalidProfile(f"load.{member} must be a whole number from {minimum} to {maximum}")
    return value


def _choice(load: Mapping[str, Any], member: str, allowed: tuple[str, ...]) -> Any:
    value = load.get(member, allowed[0])
    if value not in allowed:
        raise InvalidProfile(f"load.{member} must be one of: {', '.join(allowed)}")
    return value
