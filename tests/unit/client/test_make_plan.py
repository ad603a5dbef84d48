"""The plan of a run, from options, variables and job files."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click
import pytest

from goloagent.client.config.given import given_of
from goloagent.client.config.make_plan import make_plan
from goloagent.client.config.plan import Plan
from goloagent.client.config.run_options import run_options
from goloagent.client.errors import ClientError

NOW = datetime(2026, 12, 1, 8, 0, tzinfo=timezone.utc)
TOML = """
type = "job"
program = "./program"
users = 50
duration = "9m"
[env]
A = "file"
B = "file"
[thresholds]
duration = ["p(95)<1s"]
"""
YAML = """
type: job
program: ./program
users: 50
duration: 9m
env: {A: file, B: file}
thresholds: {duration: ["p(95)<1s"]}
"""


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a program in the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("program").write_text("#!/bin/sh\n")


def plan(*words: str, environ: dict[str, str] | None = None) -> Plan:
    """Return the plan of a command line."""

    @click.command()
    @click.argument("job", required=False)
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    @run_options
    @click.option("--detach", is_flag=True)
    @click.pass_context
    def command(context: click.Context, /, **_: Any) -> Plan:
        return make_plan(given_of(context), environ or {}, NOW)

    with pytest.MonkeyPatch.context() as patched:
        for name, value in (environ or {}).items():
            patched.setenv(name, value)
        made = command.main(list(words), standalone_mode=False)
    assert isinstance(made, Plan)
    return made


def test_the_least() -> None:
    """A program alone has 25 users for 30 seconds on a private agent."""
    made = plan("./program")
    assert (made.name, made.spec.users, made.spec.duration_seconds) == ("program", 25, 30)
    assert (made.fleet.provider, made.repeat, made.features) == (None, 1, "")


@pytest.mark.parametrize(("name", "text"), [("job.toml", TOML), ("job.yaml", YAML)])
def test_options_win_over_variables_and_those_over_the_file(name: str, text: str) -> None:
    """Variables of the load test are merged with those of the file by their names."""
    Path(name).write_text(text)
    made = plan(name)
    assert (made.spec.users, made.spec.duration_seconds) == (50, 540)
    environ = {
        "GOLO_USERS": "7",
        "GOLO_DURATION": "8m",
        "GOLO_ENV": "B=a variable\nC=another",
    }
    made = plan(name, "-d", "5", "-t", "errors: rate<1%", environ=environ)
    assert (made.spec.users, made.spec.duration_seconds) == (7, 5)
    assert made.spec.given.env == {"A": "file", "B": "a variable", "C": "another"}
    assert [one.source for one in made.spec.thresholds] == [
        ("duration", "p(95)<1s"),
        ("errors", "rate<1%"),
    ]


@pytest.mark.parametrize(
    ("words", "model", "peak"),
    [
        (("--rate", "200"), "open", 200),
        (("--stage", "1s:10", "--stage", "2s:500"), "closed", 500),
        (("--stage", "90s:100/s"), "open", 100),
    ],
)
def test_a_load_replaces_that_of_the_file(words: tuple[str, ...], model: str, peak: float) -> None:
    """Users in the file do not conflict with a rate on the command line."""
    Path("job.toml").write_text(TOML)
    made = plan("job.toml", *words)
    assert (made.spec.profile.model, made.spec.profile.ramp.peak()) == (model, peak)


def test_words_after_the_dashes() -> None:
    """They are arguments of the load test, or the command."""
    assert plan("./program", "--arg", "-a", "--", "-b", "c").spec.given.args == ("-a", "-b", "c")
    made = plan("--exec", "-u", "3", "--", "curl", "-s", "http://localhost/")
    assert made.program.words == ("curl", "-s", "http://localhost/")
    assert (made.name, made.spec.users) == ("curl", 3)


def test_files() -> None:
    """They are found from the job file, and keep their names."""
    Path("d").mkdir()
    Path("d/users.csv").write_text("a\n")
    Path("d/job.toml").write_text(
        'program = "../program"\n[[files]]\npath = "users.csv"\nsplit = "lines"\nheader = true\n'
    )
    [file] = plan("d/job.toml").files
    assert (file.path, file.name, file.split, file.header) == (
        Path("d/users.csv"), "users.csv", True, True,
    )  # fmt: skip
    made = plan("./program", "--file", "d/users.csv,name=u.csv,split")
    assert made.features == "files"
    [file] = made.files
    assert (file.name, file.split, file.header) == ("u.csv", True, False)


def test_a_job_file_of_2018() -> None:
    """Its table is read; the program is on the command line."""
    Path("job.toml").write_text('type = "job.1"\n[schema]\nName = "shop"\nUsers = 3\nduration = 4')
    made = plan("job.toml", "--program", "./program")
    assert (made.name, made.spec.users, made.spec.duration_seconds) == ("shop", 3, 4)


def test_the_start() -> None:
    """A time of day is the next one."""
    assert plan("./program", "--start-in", "5m").fleet.start_at == NOW.replace(minute=5)
    assert plan("./program", "--at", "2026-12-01T10:00:00+01:00").fleet.start_at == NOW.replace(
        hour=9
    )


def test_the_features_that_an_agent_must_have() -> None:
    """An agent that lacks one must not run half of the job."""
    made = plan("./program", "-r", "5", "-e", "A=1", "-t", "errors: rate<1%", "--drive", "jsonrpc")
    assert made.features == "rate, env, thresholds, drive-jsonrpc"


def test_outputs() -> None:
    """They are names of a daemon's outputs, or those that a private agent gets."""
    made = plan("./program", "-o", "a=csv:a", "--output", "b=jsonl:b")
    here = Path.cwd()
    outputs = (f"a=csv:{here}/a", f"b=jsonl:{here}/b")
    assert (made.outputs, made.spec.outputs, made.features) == (outputs, None, "")
    made = plan("./program", "-p", "localhost", "-o", "influx", "-o", "collector")
    assert (made.outputs, made.spec.outputs) == ((), ("influx", "collector"))
    assert made.features == "outputs"
    Path("job.toml").write_text(f'outputs = ["a=csv:a"]\n{TOML}')
    assert plan("job.toml").outputs == (f"a=csv:{here}/a",)
    assert plan("job.toml", "-o", "b=csv:b").outputs == (f"b=csv:{here}/b",)
    assert plan("job.toml", environ={"GOLO_OUTPUT": "c=csv:/c\nd=csv:/d"}).outputs == (
        "c=csv:/c",
        "d=csv:/d",
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(("--detach",), "needs a daemon"), (("--detach", "-p", "h", "--json", "r"), "golo attach")],
)
def test_a_detached_run(words: tuple[str, ...], sentence: str) -> None:
    """It needs a daemon, and has no report here."""
    with pytest.raises(ClientError, match=sentence):
        plan("./program", *words)


def test_secrets_are_not_in_the_plan_to_print() -> None:
    """Values of variables are secret."""
    assert "hunter2" not in repr(plan("./program", "-e", "PASSWORD=hunter2"))
