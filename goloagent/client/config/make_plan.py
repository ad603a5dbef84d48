"""Makes the plan of a run: options over variables over the job file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from goloagent.client.agents.connection import Credentials
from goloagent.client.config.data_files import data_files, file_member
from goloagent.client.config.given import Given
from goloagent.client.config.job_file import SUFFIXES, JobFile, read_job_file
from goloagent.client.config.member_options import add_load, add_members
from goloagent.client.config.output_options import choose_outputs
from goloagent.client.config.plan import DataFile, FleetPlan, Plan, ReportPlan
from goloagent.client.config.start_time import start_time
from goloagent.client.errors import ClientError
from goloagent.client.program.source import (
    ProgramSource,
    check_command,
    command_source,
    file_source,
    is_url,
    url_source,
)
from goloagent.core import job_spec
from goloagent.core.duration import parse_duration
from goloagent.core.load_test_input import DRIVES

DEFAULT_DURATION = "30s"
_BINARY = "00000000-0000-0000-0000-000000000000"


def make_plan(given: Given, environ: Mapping[str, str], now: datetime) -> Plan:
    """Return the plan of a run; reads the job file, and the beginning of the program.

    Raises:
        ClientError: something is wrong; nothing was touched.
    """
    job_file = _job_file(given)
    low, high = given.layers()
    options = {**low, **high}
    members: dict[str, Any] = dict(job_file.members)
    entries = members.pop("files", [])
    program, args = _program(given, job_file, options)
    for layer in (low, high):
        add_load(members, layer)
        add_members(members, layer, environ)
    if args:
        members["args"] = [*members.get("args", []), *args]
    members.setdefault("name", program.name)
    if not members.keys() & {"load", "duration"} and members.get("drive") != "self":
        members["duration"] = DEFAULT_DURATION
    files = data_files(job_file, entries, options.get("file", ()))
    fleet, report = (
        _fleet(job_file, options, now),
        report_plan(options, job_file.report, job_file.directory),
    )
    detach = bool(options.get("detach"))
    if detach and fleet.provider is None:
        raise ClientError("--detach needs a daemon that goes on: name it by --provider")
    if detach and (report.json or report.junit or report.html or report.baseline):
        raise ClientError("--detach ends before there is a report: give its options to golo attach")
    outputs = choose_outputs(members, options.get("output"), is_private=fleet.provider is None)
    spec = _spec(members, files)
    if fleet.provider is None:
        check_command(program, spec.given.env.get("PATH", environ.get("PATH")))
    return Plan(
        program=program,
        members=members,
        spec=spec,
        files=files,
        fleet=fleet,
        report=report,
        outputs=outputs,
        repeat=_number(job_file.report, options, "repeat", 1) or 1,
        detach=detach,
    )


def _job_file(given: Given) -> JobFile:
    is_file = given.job is not None and not given.options.get("is_command")
    if is_file and given.job is not None and Path(given.job).suffix in SUFFIXES:
        return read_job_file(Path(given.job))
    return JobFile(Path())


def _program(
    given: Given, job_file: JobFile, options: Mapping[str, Any]
) -> tuple[ProgramSource, tuple[str, ...]]:
    """Return the program, and the words after it, which are arguments of the load test."""
    words = (given.job or "", *given.words)
    requirements = options.get("requirements")
    if options.get("is_command"):
        return command_source(tuple(word for word in words if word)), ()
    if given.job is not None and Path(given.job).suffix not in SUFFIXES:
        if "program" in options:
            raise ClientError(f"{given.job} and --program {options['program']}: give one of them")
        return _source(given.job, requirements), given.words
    if "program" in options:
        return _source(options["program"], requirements), given.words
    if job_file.command:
        return command_source(job_file.command), given.words
    if job_file.program is None:
        raise ClientError(
            "there is no program: give a file or a URL, or name it as `program` in the job file"
            if given.job
            else "give a program, a URL or a job file: golo run ./my-loadtest; see golo run --help"
        )
    if requirements is None and job_file.requirements is not None:
        requirements = job_file.directory / job_file.requirements
    named = job_file.program
    return _source(
        named if is_url(named) else str(job_file.directory / named), requirements
    ), given.words


def _source(text: str, requirements: Path | None) -> ProgramSource:
    return url_source(text) if is_url(text) else file_source(Path(text), requirements)


def _spec(members: Mapping[str, Any], files: Sequence[DataFile]) -> job_spec.JobSpec:
    """Parse the members as the agent does.

    Raises:
        ClientError: one is wrong.
    """
    body = {**members, "binary": _BINARY, "files": [file_member(file, _BINARY) for file in files]}
    try:
        spec, ignored = job_spec.parse(json.dumps(body).encode())
    except job_spec.InvalidSpec as error:
        raise ClientError(str(error).removeprefix("invalid JSON: ")) from None
    assert not ignored, ignored
    if spec.drive not in DRIVES:
        raise ClientError(f"drive must be one of: {', '.join(DRIVES)}")
    return spec


def _fleet(job_file: JobFile, options: Mapping[str, Any], now: datetime) -> FleetPlan:
    table = job_file.fleet
    paths = {
        name: options.get(name) or (table.get(name) and job_file.directory / str(table[name]))
        for name in ("token_file", "ca")
    }
    for name, path in paths.items():
        if path is not None and not path.is_file():
            raise ClientError(f"--{name.replace('_', '-')} {path}: no such file")
    return FleetPlan(
        provider=options.get("provider") or table.get("provider"),
        tag=str(options.get("agent_tag") or table.get("agent_tag") or "agent"),
        agents=_number(table, options, "agents", 0) or None,
        tolerate=_number(table, options, "tolerate", 0),
        ready_seconds=_seconds(table, options, "ready_timeout", 120.0),
        start_at=start_time(options, now),
        credentials=Credentials(paths["token_file"], paths["ca"]),
    )


def report_plan(
    options: Mapping[str, Any],
    table: Mapping[str, Any] = MappingProxyType({}),
    directory: Path = Path(),
) -> ReportPlan:
    """Return the report of options and of the table of a job file.

    Raises:
        ClientError: one is wrong.
    """
    paths = {
        name: options.get(name) or (table.get(name) and directory / str(table[name]))
        for name in ("json", "junit", "html")
    }
    for name, path in paths.items():
        if path is not None and not (name == "json" and str(path) == "-"):
            _check_writable(f"--{name} {path}", path)
    strict = options.get("strict")
    return ReportPlan(
        **paths,
        baseline=options.get("baseline") or table.get("baseline"),
        strict=bool(table.get("strict") if strict is None else strict),
        delivery_seconds=_seconds(table, options, "delivery_timeout", 60.0),
    )


def _check_writable(name: str, path: Path) -> None:
    """Check before the run that a file can be written after it.

    Raises:
        ClientError: it cannot.
    """
    try:
        directory = path.parent.resolve(strict=True)
    except OSError:
        raise ClientError(f"{name}: its directory does not exist; make it first") from None
    if path.is_dir():
        raise ClientError(f"{name}: it is a directory; name a file in it")
    place = path if path.exists() and not path.is_file() else directory
    if not os.access(place, os.W_OK):
        raise ClientError(f"{name}: permission denied; name a file that you may write")


def _number(table: Mapping[str, Any], options: Mapping[str, Any], name: str, default: int) -> int:
    value = options.get(name, table.get(name, default))
    if type(value) is not int or value < 0:
        raise ClientError(f"{name} must be a whole number, and not {value!r}")
    return value


def _seconds(
    table: Mapping[str, Any], options: Mapping[str, Any], name: str, default: float
) -> float:
    value = options.get(name, table.get(name, default))
    try:
        return parse_duration(str(value))
    except ValueError as error:
        raise ClientError(f"--{name.replace('_', '-')}: {error}") from None
