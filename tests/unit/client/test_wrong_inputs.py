"""Wrong inputs of ``golo run``: each has one sentence and the exit code 104; nothing is touched."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import NoReturn

import pytest

from goloagent.client.exit_codes import ExitCode
from goloagent.client.main import main

PROGRAM = "#!/bin/sh\n"
JOB = 'type = "job"\nname = "shop"\nprogram = "./program"\nusers = 5\nduration = "10s"\n'

# Files to write, the words after `golo run`, and a part of the sentence.
WRONG: dict[str, tuple[dict[str, str], str, str]] = {
    # The program.
    "nothing": ({}, "", "give a program, a URL or a job file"),
    "no such program": ({}, "./nope", "nope: no such file"),
    "a directory": ({"d/x": ""}, "./d", "d: is a directory"),
    "an empty program": ({"empty": ""}, "./empty", "is empty; give a program"),
    "a text": ({"notes.txt": "hello"}, "./notes.txt", "is not a program: it is neither"),
    "Python with a mistake": ({"t.py": "def (:\n"}, "./t.py", "t.py"),
    "two programs": ({}, "./program --program ./program", "give one of them"),
    "requirements of no script": (
        {"r.txt": "x"},
        "./program --requirements r.txt",
        "--requirements is for a Python script",
    ),
    "exec without a command": ({}, "--exec", "--exec needs a command"),
    "exec of no command": ({}, "--exec -- no-such-command", "command not found: no-such-command;"),
    "exec of a file that is no program": (
        {},
        "--exec -- ./program",
        "command not found: ./program; install it, or give its path",
    ),
    # The target.
    "a URL without a host": ({}, "http://", "not an http:// or https:// URL"),
    "a URL with a wrong port": ({}, "http://localhost:99999/", "port must be a number"),
    "a URL with a password": ({}, "http://a:b@localhost/", "not in the URL"),
    "a URL with a port that is a word": ({}, "http://localhost:x/", "port must be a number"),
    # The load.
    "users that are a word": ({}, "./program --users many", "'many' is not a valid integer"),
    "no users": ({}, "./program --users 0", "--users 0 makes no load"),
    "too many users": ({}, "./program --users 100001", "0 to 100000 is allowed"),
    "a negative rate": ({}, "./program --rate -5", "rate"),
    "users and a rate": ({}, "./program --users 5 --rate 5", "exclude each other"),
    "a duration of no unit": ({}, "./program --duration 5x", '"5x" is not a duration'),
    "too long": ({}, "./program --duration 8d", "604800"),
    "a stage without a time": ({}, "./program --stage 100", "write 30s:100 for users"),
    "stages of both models": (
        {},
        "./program --stage 1s:5 --stage 1s:5/s",
        "load.stages[1] has rate and the stages before it have users",
    ),
    "stages and a duration": ({}, "./program --stage 1s:5 --duration 5", "stages have durations"),
    # Outputs.
    "an output without a URL": (
        {},
        "./program --output influx",
        "a private agent has no outputs; write NAME=URL",
    ),
    "an output of an unknown scheme": (
        {},
        "./program --output a=foo://b",
        "--output a: there is no scheme foo; the schemes are collector, influx",
    ),
    "an output with an unknown member": (
        {},
        "./program -o a=influx+http://b?databse=c",
        "there is no member databse; the members are database",
    ),
    "an output twice": ({}, "./program -o a=csv:a -o a=csv:b", "the name is given twice"),
    "an output of a daemon with a URL": (
        {},
        "./program -p localhost -o a=csv:a",
        "--output a: agents have their own outputs",
    ),
    "outputs that are a text": (
        {"job.toml": f'{JOB}outputs = "influx"\n'},
        "job.toml",
        'outputs must be a list of texts, such as ["influx"]',
    ),
    # Thresholds.
    "no expression": ({}, "./program -t duration", "write 'METRIC: EXPRESSION'"),
    "an unknown metric": ({}, "./program -t latency:p(95)<1", "has no known metric"),
    "an unknown aggregation": ({}, "./program -t duration:mean<1", "duration has"),
    "an unknown unit": ({}, "./program -t duration:p(95)<5kg", "use ms, s, m or h"),
    "an impossible percentile": ({}, "./program -t duration:p(101)<1", "from 0 to 100"),
    # The input.
    "a variable that is not set": ({}, "./program --env NOT_SET_HERE", "it is not set here"),
    "a reserved variable": ({}, "./program --env GOLO_USERS=5", "GOLO_"),
    "a tag without a value": ({}, "./program --tag release", "write NAME=VALUE"),
    "a file that is missing": ({}, "./program --file users.csv", "users.csv does not exist"),
    "an option of a file": (
        {"u.csv": "a"},
        "./program --file u.csv,lines",
        "lines is not known; use name=NAME, split, header",
    ),
    "a wrong name": ({}, "./program --name ../x", "invalid name"),
    # The job file.
    "no such job file": ({}, "job.toml", "job.toml: no such file"),
    "no TOML": ({"job.toml": "name = \n"}, "job.toml", "job.toml:"),
    "no YAML": ({"job.yaml": "a: [\n"}, "job.yaml", "job.yaml:"),
    "a list": ({"job.yaml": "- a\n"}, "job.yaml", "has no members"),
    "another type": ({"job.toml": 'type = "task"\n'}, "job.toml", 'type "task" is not known'),
    "a member with a mistake": (
        {"job.toml": JOB + "durations = 5\n"},
        "job.toml",
        "durations is not known; did you mean duration?",
    ),
    "a member that is there twice": (
        {"job.toml": JOB + "[schema]\nusers = 5\n"},
        "job.toml",
        "users is there twice",
    ),
    "a job file without a program": (
        {"job.toml": 'type = "job"\n'},
        "job.toml",
        "there is no program",
    ),
    "a fleet with a mistake": (
        {"job.toml": JOB + '[fleet]\nprovidr = "env"\n'},
        "job.toml",
        "fleet.providr is not known; did you mean provider?",
    ),
    # The agents.
    "no address": ({}, "./program --provider host:port", "port must be a number"),
    "an address of no host": ({}, "./program -p 2001:db8::1", "in brackets"),
    "no hosts": ({}, "./program --provider env", "$GOLO_HOSTS"),
    "a list that is missing": ({}, "./program -p file:agents.txt", "agents.txt"),
    "a command that fails": ({}, "./program -p exec:false", "false"),
    "a token that is missing": ({}, "./program --token-file token", "token: no such file"),
    "an authority that is missing": ({}, "./program --ca ca.pem", "ca.pem: no such file"),
    # The start and the report.
    "a start in the past": ({}, "./program --at 2001-01-01T00:00:00Z", "it is in the past"),
    "a start at no time": ({}, "./program --at noon", "write a time such as 09:00"),
    "two starts": ({}, "./program --at 09:00 --start-in 5", "exclude each other"),
    "a report in no directory": ({}, "./program --json nope/r.json", "does not exist; make it"),
    "an unknown metric of a file": (
        {"job.toml": JOB + '[thresholds]\nlatency = ["p(95)<1s"]\n'},
        "job.toml",
        "has no known metric",
    ),
    "an unknown option": ({}, "./program --user 5", "No such option"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_inputs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence says what is wrong and what to do."""
    files, words, sentence = WRONG[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GOLO_HOSTS", raising=False)
    for path, content in {"program": PROGRAM, **files}.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(content)

    def connect(*_: object) -> NoReturn:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(SystemExit) as ended:
        main(["check", *words.split()])
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (ExitCode.INVALID, ""), (out, err)
    assert sentence in err
    assert err.startswith("golo: ")
    assert err.count("\n") == 1, err
