"""The optional members of a job: what they become, and the sentence for each invalid one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from goloagent.core.job_spec import InvalidSpec, JobSpec, parse
from goloagent.core.load_test_input import InputFile
from goloagent.core.profile.ramp import NS

STAGES = [{"rate": 100, "duration": 60}, {"rate": 2000, "duration": "5m"}]


def job(**members: object) -> JobSpec:
    """Return the job of a request, all of whose members are known."""
    spec, ignored = parse(json.dumps({"binary": "b", **members}).encode())
    assert ignored == ()
    return spec


def test_a_job_without_them_is_that_of_users_for_a_duration() -> None:
    """The request of 2018 is a constant number of calls in flight, and nothing else is given."""
    spec = job(name="shop", users=7, duration=60)
    assert spec == JobSpec("shop", 7, 60, "b")
    assert spec.members == {}
    assert (spec.profile.model, spec.profile.users(0), spec.profile.seconds) == ("closed", 7, 60)
    assert (spec.drive, spec.tags, spec.thresholds, spec.run) == ("netrpc", {}, (), None)
    assert (spec.given.args, spec.given.env, spec.given.files) == ((), {}, ())


@pytest.mark.parametrize(
    ("members", "users", "duration", "model"),
    [
        ({"load": {"stages": STAGES}}, 0, 360, "open"),
        (
            {"load": {"stages": [{"users": 9.2, "duration": "1500ms"}], "start": 40}},
            40,
            2,
            "closed",
        ),
        ({"rate": 0.5, "duration": 10}, 0, 10, "open"),
        ({"rate": 200, "duration": "1h30m", "users": 0}, 0, 5400, "open"),
        ({"users": 3, "duration": "90s"}, 3, 90, "closed"),
        ({"duration": "0.5s"}, 25, 1, "closed"),
        ({"drive": "self", "duration": 5}, 0, 5, "closed"),
        ({"drive": "self", "users": 4, "duration": 5}, 4, 5, "closed"),
        ({"drive": "jsonrpc"}, 25, 0, "closed"),
    ],
)
def test_users_and_duration_of_each_load(
    members: dict[str, Any], users: int, duration: int, model: str
) -> None:
    """Users are 0 in the open model and else the most of them; durations are rounded up."""
    spec = job(**members)
    assert (spec.users, spec.duration_seconds, spec.profile.model) == (users, duration, model)


def test_a_duration_as_text_is_exact() -> None:
    """The load has its fraction of a second, which the whole seconds of the job lack."""
    assert job(duration="1500ms").profile.seconds == 1.5
    assert job(rate=10, duration="1500ms").profile.seconds == 1.5


def test_each_is_taken_as_it_was_given() -> None:
    """All values arrive, and the members are kept as they were requested."""
    members = {
        "load": {"stages": STAGES, "max_in_flight": 7, "when_full": "wait", "graceful_stop": "2s"},
        "args": ["--cart", "3"],
        "env": {"TARGET": "https://staging"},
        "files": [{"name": "users.csv", "binary": "f", "split": "lines", "header": True}],
        "tags": {"release": "1.4.2"},
        "thresholds": {"http_req_duration": ["p(95)<250ms", {"threshold": "max<1s", "over": 5}]},
        "share": {"index": 3, "of": 20},
        "run": {"id": "0d1f"},
        "outputs": ["collector", "influx"],
    }
    spec = job(**members)
    assert spec.members == members
    profile = spec.profile
    assert (profile.share.index, profile.share.of, profile.graceful_stop) == (3, 20, 2.0)
    assert (profile.max_in_flight, profile.when_full) == (7, "wait")
    assert profile.rate(60 * NS) == 5
    assert spec.given.args == ("--cart", "3")
    assert spec.given.env == {"TARGET": "https://staging"}
    assert spec.given.files == (InputFile("users.csv", "f", split=True, header=True),)
    assert spec.tags == {"release": "1.4.2"}
    assert [(one.metric, one.limit, one.over) for one in spec.thresholds] == [
        ("duration", 0.25, None),
        ("duration", 1.0, 5.0),
    ]
    assert spec.run == "0d1f"
    assert spec.outputs == ("collector", "influx")


def test_values_of_variables_are_in_no_repr() -> None:
    """A traceback or a log line with the job has no secret."""
    assert "s3cret" not in repr(job(env={"PASSWORD": "s3cret"}))


def test_names_ignore_case_where_they_are_members() -> None:
    """They do at each level; names of variables, tags and metrics are the client's own."""
    spec = job(
        Load={"STAGES": [{"Users": 5, "duration": None, "Duration": 60}], "Graceful_Stop": None},
        ENV={"Path": "a", "PATH": "b"},
        Files=[{"Name": "a", "BINARY": "f"}],
        Share={"Index": 0, "OF": 1},
        Run={"ID": "r"},
    )
    assert spec.profile.users(60 * NS - 1) == 5
    assert spec.given.env == {"Path": "a", "PATH": "b"}
    assert (spec.given.files[0].name, spec.run) == ("a", "r")


@pytest.mark.parametrize(
    "member",
    [
        "load",
        "rate",
        "drive",
        "args",
        "env",
        "files",
        "tags",
        "thresholds",
        "share",
        "run",
        "outputs",
    ],
)
def test_null_is_missing(member: str) -> None:
    """As with the members of 2018."""
    assert job(**{member: None}) == job()


OUTPUTS = (
    'outputs must be a list of names such as ["collector", "influx"], of 1 to 32; leave it out for '
    "all outputs of the agent"
)
RUN = 'run must be such as {"id": "0d1f"}, of 1 to 64 of A-Z a-z 0-9 _ . -, not . or - first'
SHARE = (
    'share must be such as {"index": 0, "of": 3}, with index from 0 to of - 1 and of up to 10000'
)
STAGE = {"users": 1, "duration": 1}
INVALID: list[tuple[dict[str, Any], str]] = [
    ({"load": 5}, 'load must be an object such as {"stages": [{"rate": 5, "duration": 60}]}'),
    ({"load": {}}, 'load.stages must be a list such as [{"rate": 100, "duration": 60}]'),
    (
        {"load": {"stages": [STAGE], "arivals": "even"}},
        "load.arivals is not known: use stages, start, arrivals, max_in_flight, when_full, "
        "graceful_stop, seed",
    ),
    (
        {"load": {"stages": [{"rate": 10**400, "duration": 1}]}},
        "load.stages[0].rate is too large: 0 to 1000000 is allowed",
    ),
    (
        {"load": {"stages": [STAGE]}, "users": 5},
        "load and users exclude each other: remove one of them",
    ),
    (
        {"load": {"stages": [STAGE]}, "duration": "5s"},
        "load and duration exclude each other: remove one of them",
    ),
    (
        {"load": {"stages": [STAGE]}, "rate": 5, "users": 1},
        "load and users exclude each other: remove one of them",
    ),
    (
        {"load": {"stages": [STAGE]}, "rate": 5},
        "load and rate exclude each other: remove one of them",
    ),
    ({"rate": 5, "users": 5}, "rate and users exclude each other: remove one of them"),
    ({"rate": "5"}, "rate must be a number from 0 to 1000000"),
    ({"rate": True}, "rate must be a number from 0 to 1000000"),
    ({"rate": -1}, "rate is -1: 0 to 1000000 is allowed"),
    ({"rate": 0}, "rate must be greater than 0: how many iterations start a second"),
    (
        {"duration": "soon"},
        'duration: "soon" is not a duration: write seconds, or 250ms, 90s, 1h30m',
    ),
    ({"duration": "8d"}, "duration is 691200: 0 to 604800 is allowed"),
    ({"drive": "grpc"}, "drive must be one of: netrpc, jsonrpc, self"),
    ({"drive": 5}, "drive must be one of: netrpc, jsonrpc, self"),
    ({"drive": "self"}, 'drive "self" needs a duration, after which the program is ended'),
    (
        {"drive": "self", "rate": 5, "duration": 5},
        'drive "self" has no load of the agent: remove rate',
    ),
    (
        {"drive": "self", "load": {"stages": [STAGE]}},
        'drive "self" has no load of the agent: remove load',
    ),
    ({"args": "--cart"}, 'args must be a list of at most 256 texts, such as ["--cart"]'),
    ({"args": [3]}, 'args must be a list of at most 256 texts, such as ["--cart"]'),
    ({"args": ["a\0"]}, 'args must be a list of at most 256 texts, such as ["--cart"]'),
    ({"args": ["x"] * 257}, 'args must be a list of at most 256 texts, such as ["--cart"]'),
    ({"args": ["x" * 32768]}, "args has 32769 bytes: at most 32768 are allowed"),
    ({"env": ["A=1"]}, 'env must be an object of at most 256 texts, such as {"A": "1"}'),
    ({"env": {"1A": "x"}}, "env.1A: a name is letters, digits and _, no digit first"),
    ({"env": {"A\nB": "x"}}, r"env.A\nB: a name is letters, digits and _, no digit first"),
    (
        {"env": {"GOLO_RPC_ADDR": "x"}},
        "env.GOLO_RPC_ADDR is reserved: choose a name without GOLO_ or LD_",
    ),
    (
        {"env": {"LD_PRELOAD": "x"}},
        "env.LD_PRELOAD is reserved: choose a name without GOLO_ or LD_",
    ),
    ({"env": {"A": 5}}, "env.A must be a text: put it in quotes"),
    ({"env": {"A": None}}, "env.A must be a text: put it in quotes"),
    ({"env": {"A": "\0"}}, "env.A must be a text without a NUL"),
    ({"env": {"A": "x" * 32768}}, "env has 32771 bytes: at most 32768 are allowed"),
    ({"files": {}}, 'files must be a list of at most 16, such as [{"name": "a", "binary": "…"}]'),
    ({"files": ["a"]}, 'files[0] must be an object such as {"name": "a", "binary": "…"}'),
    (
        {"files": [{"name": "../a", "binary": "f"}]},
        "files[0].name must be 1 to 128 of A-Z a-z 0-9 _ . -, not . or - first",
    ),
    ({"files": [{"name": "a"}]}, "files[0].binary must be the id of an upload"),
    (
        {"files": [{"name": "a", "binary": "f", "split": "words"}]},
        'files[0].split must be "lines"',
    ),
    (
        {"files": [{"name": "a", "binary": "f", "header": 1}]},
        "files[0].header must be true or false",
    ),
    (
        {"files": [{"name": "a", "binary": "f", "mode": 7}]},
        "files[0].mode is not known: use name, binary, split, header",
    ),
    ({"files": [{"name": "a", "binary": "f"}] * 2}, "files: a is there twice"),
    ({"tags": []}, 'tags must be an object of at most 16, such as {"a": "1"}'),
    (
        {"tags": {f"t{n}": "1" for n in range(17)}},
        'tags must be an object of at most 16, such as {"a": "1"}',
    ),
    ({"tags": {"a": 1}}, "tags.a must be a text: put it in quotes"),
    ({"tags": {"a": ""}}, "tags.a: a name is letters, digits and _, a value a text of 1 to 256"),
    (
        {"tags": {"a b": "1"}},
        "tags.a b: a name is letters, digits and _, a value a text of 1 to 256",
    ),
    (
        {"thresholds": ["p(95)<1"]},
        'thresholds must be an object such as {"duration": ["p(95)<250ms"]}, by metric',
    ),
    (
        {"thresholds": {"duration": ["p95<1"]}},
        'threshold "duration: p95<1" is not of the form "p(95)<250ms"',
    ),
    (
        {"thresholds": {"speed\n": ["max<1"]}},
        'threshold "speed\\n" has no known metric: use one of duration, iteration, service, '
        "schedule_lag, errors, results, iterations, dropped, invalid, undelivered, bytes, "
        "in_flight, agents_lost, limited",
    ),
    ({"share": 3}, SHARE),
    *(
        ({"share": share}, SHARE)
        for share in (
            {},
            {"index": 0},
            {"index": 3, "of": 3},
            {"index": -1, "of": 3},
            {"index": 0, "of": 0},
            {"index": False, "of": True},
            {"index": 0.0, "of": 3},
            {"index": 0, "of": 10_001},
            {"index": 0, "of": 3, "n": 1},
        )
    ),
    ({"run": "r"}, RUN),
    *(
        ({"run": run}, RUN)
        for run in ({}, {"id": 5}, {"id": ".."}, {"id": "x" * 65}, {"id": "a", "n": 1})
    ),
    *(({"outputs": outputs}, OUTPUTS) for outputs in ("a", {}, [], [1], ["a"] * 33)),
    ({"outputs": ["a", "b", "a"]}, "outputs has a name twice: remove one of them"),
]


@pytest.mark.parametrize(("members", "sentence"), INVALID)
def test_the_sentence_of_each_invalid_member(members: dict[str, Any], sentence: str) -> None:
    """It names the member, and says what is allowed."""
    with pytest.raises(InvalidSpec) as caught:
        job(**members)
    assert str(caught.value) == sentence


def test_a_sentence_is_cut() -> None:
    """However long the text that it quotes."""
    with pytest.raises(InvalidSpec) as caught:
        job(thresholds={"\x01" * 10_000: ["max<1"]})
    assert len(str(caught.value)) == 401


@pytest.mark.parametrize(
    "members", [{"share": 5}, {"load": {}}, {"tags": 5}, {"env": {"LD_A": ""}}]
)
def test_a_damaged_record_of_a_job_is_a_value_error(members: dict[str, Any]) -> None:
    """So that the database skips its row, and the queue its file."""
    with pytest.raises(ValueError, match=r"."):
        JobSpec("shop", 1, 1, "b", members)
