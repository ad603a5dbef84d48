"""Each wrong input gets a 4xx with one sentence, and values of variables are shown nowhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from peers.agent import Agent, Response
from peers.programs import ACCEPT, ANSWER_CALLS, Builder

SECRET = "s3cret-55c0"
MAX_SENTENCE = 500
RATE = [{"rate": 5, "duration": 1}]


def load(stages: Any, **members: Any) -> dict[str, Any]:
    """Return the members of a job with these stages."""
    return {"load": {"stages": stages, **members}}


def expression(text: Any, metric: str = "duration") -> dict[str, Any]:
    """Return the members of a job with one threshold."""
    return {"thresholds": {metric: [text]}}


def file(**members: Any) -> dict[str, Any]:
    """Return the members of a job with one file."""
    return {"files": [{"name": "a.csv", "binary": "missing", **members}]}


# A member or a word that the sentence must have, and the members of the job.
QUEUE: list[tuple[str, dict[str, Any]]] = [
    ("name", {"name": "a b"}),
    ("name", {"name": 3}),
    ("users", {"users": -1}),
    ("users", {"users": "ten"}),
    ("users", {"users": 1.5}),
    ("users", {"users": 10**9}),
    ("duration", {"duration": "soon"}),
    ("duration", {"duration": -5}),
    ("duration", {"duration": [1]}),
    ("invalid binary", {"binary": "missing"}),
    ("rate", {"rate": 0}),
    ("0 to 1000000", {"rate": 10**9}),
    ("rate", {"rate": "fast"}),
    ("rate and users", {"rate": 5, "users": 5}),
    ("load and duration", {**load(RATE), "duration": 5}),
    ('load must be an object such as {"stages"', {"load": 5}),
    ("load.stages", load([])),
    ("load.speed", load(RATE, speed=3)),
    ("either rate or users", load([{"rate": 5, "users": 5, "duration": 1}])),
    ("load.stages[0].duration", load([{"rate": 5}])),
    ("use one of them", load([*RATE, {"users": 5, "duration": 1}])),
    ("more than 0", load([{"rate": 5, "duration": 0}])),
    ("at most 1000", load(RATE * 1001)),
    ("even, poisson", load(RATE, arrivals="random")),
    ("drop, wait", load(RATE, when_full=["drop"])),
    ("load.max_in_flight", load(RATE, max_in_flight=0)),
    ("remove it", load([{"users": 5, "duration": 1}], seed=1)),
    ("load.graceful_stop", load(RATE, graceful_stop="a year")),
    ("netrpc, jsonrpc, self", {"drive": "http"}),
    ("remove rate", {"drive": "self", "rate": 5}),
    ("needs a duration", {"drive": "self"}),
    ("args", {"args": "--cart"}),
    ("args", {"args": ["a\0b"]}),
    ("args has", {"args": ["x" * 40_000]}),
    ("env must be an object", {"env": [SECRET]}),
    ("env must be an object", {"env": SECRET}),
    ("env.GOLO_X is reserved", {"env": {"GOLO_X": SECRET}}),
    ("env.LD_PRELOAD is reserved", {"env": {"LD_PRELOAD": SECRET}}),
    ("env.A B", {"env": {"A B": SECRET}}),
    ("env.A", {"env": {"A": [SECRET]}}),
    ("env.A", {"env": {"A": SECRET + "\0"}}),
    ("env has", {"env": {"A": SECRET * 4000}}),
    ("files", {"files": {}}),
    ("files[0].name", file(name="../a")),
    ("files[0].binary", file(binary=None)),
    ("files[0].split", file(split="bytes")),
    ("files[0].mode", file(mode=1)),
    ("upload it first", file()),
    ("tags", {"tags": ["a"]}),
    ("tags.a b", {"tags": {"a b": "1"}}),
    ("share must be such as", {"share": 3}),
    ("share must be such as", {"share": {"index": 3, "of": 3}}),
    ("run must be such as", {"run": "r"}),
    ("outputs must be a list of names", {"outputs": "influx"}),
    ("outputs must be a list of names", {"outputs": []}),
    ("outputs must be a list of names", {"outputs": [1]}),
    ("outputs has a name twice", {"outputs": ["collector", "collector"]}),
    ('has no output "influx"; it has collector', {"outputs": ["collector", "influx"]}),
    ('has no output "a\\nb"', {"outputs": ["a\nb"]}),
    ("thresholds must be an object", {"thresholds": ["p(95)<1"]}),
    ("no known metric", expression("p(95)<1", "latency")),
    ('"p(95)<250ms"', expression("p95<1")),
    ('"p(95)<250ms"', expression(["x" * 100_000])),
    ('"p(95)<250ms"', expression("p(95)<" + "9" * 400)),
    ('"duration', {"thresholds": {"duration" + " " * 50_000: []}}),
    ("from 0 to 100", expression("p(101)<1")),
    ("duration has avg", expression("rate<1")),
    ("use ms, s, m or h", expression("max<1 parsec")),
    ("take a selector", expression("count<1", "dropped{url:/x}")),
    ("a selector is", expression("max<1", "duration{path:/x}")),
    ("abort", expression({"threshold": "max<1", "abort": "yes"})),
    ("at most 600", expression({"threshold": "max<1", "over": 9999})),
    ("delay", expression({"threshold": "max<1", "delay": "later"})),
    ("use threshold, abort, delay, over", expression({"threshold": "max<1", "stop": 1})),
]
BODIES = [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"rate": NaN}', b'{"rate": 1e400}']
PATCHES: list[tuple[int, str, bytes]] = [
    (400, "object", b"[]"),
    (400, "JSON", b"{"),
    (422, "give users, paused or duration", b"{}"),
    (422, "users", b'{"users": -1}'),
    (422, "users", b'{"users": "ten"}'),
    (422, "this job has users, not rate", b'{"rate": 5}'),
    (422, "paused", b'{"paused": "yes"}'),
    (422, "duration", b'{"duration": "soon"}'),
    (422, "0 to 604800", b'{"duration": 99999999}'),
    (422, "users, rate, paused, duration", b'{"env": {"A": "%s"}}' % SECRET.encode()),
]
QUERIES = [
    ("values are hdr", "stats?histograms=x"),
    ("rows", "stats?rows=-1"),
    ("values are", "stats?sort=size"),
    ("values are", "stats?order=up"),
    ("parameters are", "stats?x=1"),
    ("values are duration, iteration, service, schedule_lag", "stats.hgrm?metric=size"),
    ("values are duration, iteration", "stats.hlog?metric=service"),
    ("values are hdr", "timeline?histograms=x"),
    ("parameters are histograms", "timeline?from=1"),
    ("parameters are none", "timeline.csv?x=1"),
    ("offset", "out.log?offset=x"),
]


def check(answer: Response, wanted: str, status: int = 400) -> None:
    """Check for one short sentence with the wanted words and without the secret."""
    assert answer.status == status, (answer, wanted)
    assert wanted in answer.text, answer
    sentence = answer.text.removesuffix("\n")
    assert 0 < len(sentence) <= MAX_SENTENCE, sentence
    assert "\n" not in sentence
    assert SECRET not in answer.text, answer


async def test_each_wrong_input_has_its_sentence(
    agent: Agent, script: Builder, tmp_path: Path
) -> None:
    """No wrong member, body, change or query is a server error, or shows a secret."""
    binary = await agent.upload(script(ACCEPT + ANSWER_CALLS))
    for wanted, members in QUEUE:
        body = {"binary": binary, "env": {"TOKEN": SECRET}, **members}
        check(await agent.request("POST", "/queue", data=json.dumps(body).encode()), wanted)
    for raw in BODIES:
        check(await agent.request("POST", "/queue", data=raw), "invalid JSON")
    assert (await agent.request("GET", "/jobs")).json["jobs"] == []
    requires = {"Golo-Requires": "load, teleport"}
    check(await agent.request("POST", "/queue", data=b"{}", headers=requires), "teleport", 422)

    job_id = await agent.queue("steered", binary, duration=600, users=1, env={"TOKEN": SECRET})
    await agent.reached(job_id, "running")
    patch = {"Content-Type": "application/merge-patch+json"}
    for status, wanted, raw in PATCHES:
        answer = await agent.request("PATCH", f"/jobs/{job_id}", data=raw, headers=patch)
        check(answer, wanted, status)
    for wanted, path in QUERIES:
        check(await agent.request("GET", f"/jobs/{job_id}/{path}"), wanted)
    for path in (f"/jobs/{job_id}", "/jobs", f"/jobs/{job_id}/err.log", "/metrics", "/health"):
        answer = await agent.request("GET", path)
        assert answer.status == 200, answer
        assert SECRET not in answer.text, answer
    await agent.request("DELETE", f"/jobs/{job_id}")
    await agent.ended(job_id)
    for wanted, query in (("parameters are output", "?x=1"), ('the job has no "a"', "?output=a")):
        check(await agent.request("DELETE", f"/jobs/{job_id}/results{query}"), wanted)
    late = await agent.request("PATCH", f"/jobs/{job_id}", data=b'{"users": 2}', headers=patch)
    check(late, "only a running job can be changed", 409)
    assert SECRET not in agent.log
    assert "Traceback" not in agent.log
    assert "audit" in agent.log  # so that its records are among what was searched
