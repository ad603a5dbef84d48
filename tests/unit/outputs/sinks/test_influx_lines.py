"""Points in line protocol: escapes, times, and the same lines on every repeat."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.concurrency.steps import finish
from goloagent.core.timeline import Times, Window
from goloagent.outputs.batch import Batch
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.seconds import Second, SecondsBatch, Totals
from goloagent.outputs.sinks.influx import points as points_module
from goloagent.outputs.sinks.influx.line_protocol import job_tags, string_field, tag_set
from goloagent.outputs.sinks.influx.points import ResultEncoder, window_bodies
from goloagent.outputs.sinks.influx.times import PERIOD, milliseconds, point_time

START = datetime(2026, 1, 2, 3, 4, 5, 678_901, timezone.utc)
START_NS = 1_767_323_045_678_000_000
RUN = RunLabels("job-1", "shop", "run-1", "agent-1", START, {"release": "1 2"})
RESULT = {
    "timestamp": "2026-01-02T03:04:06.123456789Z",
    "duration": 12_345_678,
    "method": "GET",
    "url": "/a b",
    "status": 200,
    "size": 7,
}
HEAD = "golo_results,agent=agent-1,job=job-1,name=shop,run=run-1,release=1\\ 2"

Point = tuple[dict[str, str], dict[str, str], int]


def split_at(text: str, separator: str, has_strings: bool = False) -> list[str]:
    """Split at separators that have no backslash before them and are in no string."""
    parts, start, in_string, index = [], 0, False, 0
    while index < len(text):
        if text[index] == "\\":
            index += 1
        elif text[index] == '"' and has_strings:
            in_string = not in_string
        elif text[index] == separator and not in_string:
            parts.append(text[start:index])
            start = index + 1
        index += 1
    return [*parts, text[start:]]


def unescape(text: str) -> str:
    """Return what a backslash before any character means: that character."""
    characters = iter(text)
    return "".join(next(characters) if one == "\\" else one for one in characters)


def parse(line: str) -> Point:
    """Parse a line: its tags, its fields as they are written, strings without quotes, its time."""
    assert line.endswith("\n")
    assert "\n" not in line[:-1]
    series = split_at(line[:-1], " ")[0]
    fields, time = split_at(line[len(series) + 1 : -1], " ", has_strings=True)
    tags = [split_at(tag, "=") for tag in split_at(series, ",")[1:]]
    assert all(len(tag) == 2 and tag[1] for tag in tags)
    read = {}
    for field in split_at(fields, ",", has_strings=True):
        name, _, value = field.partition("=")
        is_string = value.startswith('"')
        assert not is_string or (value.endswith('"') and len(value) > 1)
        read[name] = unescape(value[1:-1]) if is_string else value
    named = {unescape(name): unescape(value) for name, value in tags}
    assert len(named) == len(tags)
    return named, read, int(time)


def batch(*results: object) -> Batch:
    """Return a batch of results."""
    text = b"".join(json.dumps(result).encode() + b"\n" for result in results)
    return Batch(0, len(text), text)


def encode(of: Batch, ordinal: int = 0, run: RunLabels = RUN) -> list[str]:
    """Return the lines of a batch."""
    bodies = finish(ResultEncoder().bodies(run, of, ordinal))
    found = b"".join(body.text for body in bodies).decode().splitlines(keepends=True)
    assert sum(body.points for body in bodies) == len(found) == of.results
    return found


def test_a_result() -> None:
    """A result is one line with its labels, its tags, its fields and its time."""
    assert encode(batch(RESULT), 42) == [
        f"{HEAD},method=GET,status=200,url=/a\\ b duration=12345678e-9,is_error=false,size=7i"
        " 1767323046123000042\n"
    ]


def test_members_that_are_missing() -> None:
    """An empty tag is left out, and a result without a response is an error."""
    assert encode(batch({"timestamp": "2026-01-02T03:04:06+01:00"})) == [
        f"{HEAD},status=0 duration=0e-9,is_error=true,size=0i 1767319446000000000\n"
    ]


@pytest.mark.parametrize(
    ("error", "written"),
    [
        ("no route", "no route"),
        ('say "a\\b"\n\tc', 'say "a\\b"\\n\\tc'),
        ({"a": [1, "x"]}, '{"a": [1, "x"]}'),
        (7, "7"),
        ("", ""),
    ],
)
def test_errors(error: object, written: str) -> None:
    """An error is a string: the text of a string, the JSON of another value."""
    [line] = encode(batch({**RESULT, "error": error, "sequenceID": 'a"\\'}))
    _, fields, _ = parse(line)
    assert fields["error"] == written
    assert fields["is_error"] == "true"
    assert fields["sequence_id"] == 'a"\\'


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text(
    '\\,= "\n\r\t\0a', max_size=8
)


@given(tag=texts, field=texts)
def test_any_text_is_read_as_it_was_written(tag: str, field: str) -> None:
    """A parser finds the same texts, but for backslashes in tags and control characters."""
    tags, fields, time = parse(f"m{tag_set({'a': tag, 'b': 'x'})} f={string_field(field)} 7\n")
    controls = dict.fromkeys((*range(32), 0x7F, 0x85, 0x2028, 0x2029), "?")
    assert tags.get("a", "") == tag.translate({**controls, ord("\\"): "/"})
    assert tags["b"] == "x"
    named = {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}
    replaced = {**dict.fromkeys(controls, "\N{REPLACEMENT CHARACTER}"), **named}
    assert fields == {"f": field.translate(replaced)}
    assert time == 7


@given(
    st.dictionaries(
        st.sampled_from(["job", "tag_job", "tag_tag_job", "_x", "time", "url", "release", "a1"]),
        st.text("xyz", min_size=1, max_size=3),
    )
)
def test_tags_of_the_job_replace_no_tag_of_the_point(tags: dict[str, str]) -> None:
    """Each tag of a job is kept, under a name that is not used."""
    run = RunLabels("job-1", "shop", "run-1", "agent-1", START, tags)
    found, _, _ = parse(encode(batch(RESULT), run=run)[0])
    own = {"agent", "job", "name", "run", "method", "status", "url"}
    assert found["job"] == "job-1"
    assert sorted(found[name] for name in found.keys() - own) == sorted(tags.values())
    assert found.keys() - own == job_tags(tags).keys()


times = st.datetimes(datetime(1700, 1, 1), datetime(2250, 1, 1), timezones=st.just(timezone.utc))


@given(times, st.integers(-1439, 1439), st.integers(0, 9))
def test_the_time_is_the_timestamp_to_the_millisecond(
    time: datetime, offset: int, digits: int
) -> None:
    """For any offset and number of digits, the time is in the millisecond of the timestamp."""
    zone = timezone(timedelta(minutes=offset))
    local = time.astimezone(zone)
    fraction = f"{local.microsecond:06d}789"[:digits]
    suffix = local.strftime("%z")
    text = local.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + ("." + fraction if digits else "")
    text += f"{suffix[:3]}:{suffix[3:]}" if offset else "Z"
    expected = (time.replace(microsecond=0) - datetime(1970, 1, 1, tzinfo=timezone.utc)).days
    seconds = expected * 86_400 + time.hour * 3600 + time.minute * 60 + time.second
    kept = int(fraction[:3].ljust(3, "0"))
    assert milliseconds(msgspec.Raw(json.dumps(text).encode())) == seconds * 1000 + kept


@given(st.lists(st.integers(0, 3), min_size=2, max_size=50), st.integers(0, 2**40))
def test_no_two_results_of_a_period_have_the_same_time(
    milliseconds: list[int], ordinal: int
) -> None:
    """`PERIOD` results that follow each other have different times, for any timestamps."""
    found = [point_time(one, ordinal + number) for number, one in enumerate(milliseconds)]
    assert len(set(found)) == len(found)
    # The last ordinal of a period too, and the next one shows that the bound is exact.
    assert point_time(5, ordinal + PERIOD - 1) != point_time(5, ordinal)
    assert point_time(5, ordinal + PERIOD) == point_time(5, ordinal)
    assert point_time(5, ordinal) // PERIOD == 5


@pytest.mark.parametrize(
    "timestamp",
    [
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "1677-09-21T00:12:43Z",
        "2262-04-11T23:47:17Z",
        "9999-12-31T23:59:59.999-23:59",
    ],
)
def test_a_time_that_influxdb_cannot_have(timestamp: str) -> None:
    """The point has the start of the load and its ordinal, and the timestamp as a field."""
    [line] = encode(batch({**RESULT, "timestamp": timestamp}), 42)
    _, fields, time = parse(line)
    assert time == START_NS + 42
    assert fields["timestamp"] == timestamp
    assert -(2**63) + 2 <= time <= 2**63 - 2


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40), st.data())
def test_a_repeat_has_the_same_lines(urls: list[str], data: st.DataObject) -> None:
    """However a batch is divided on a repeat, its points are the same."""
    whole = batch(*({**RESULT, "url": url, "size": size} for size, url in enumerate(urls)))
    parts, rest, ordinal = [], whole, 7
    while rest.results:
        part, rest = rest.take(data.draw(st.integers(1, rest.results)))
        parts += encode(part, ordinal)
        ordinal += part.results
    assert parts == encode(whole, 7)


def test_long_texts_are_cut_to_what_influxdb_takes() -> None:
    """A point's tags stay below 64 KiB for the longest texts of every tag."""
    tags = {f"t{number}": "," * 256 for number in range(16)}
    run = RunLabels("j" * 36, "n" * 64, "r" * 64, "=" * 255, START, tags)
    long = {"url": " " * 500_000, "method": "\U0001f600" * 9_000, "error": '"' * 100_000}
    [line] = encode(batch({**RESULT, **long}), run=run)
    assert len(split_at(line, " ")[0].encode()) < 2**16
    assert len(parse(line)[1]["error"]) == 8_192


def test_a_long_batch_is_several_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that are much longer than the results are sent in bodies of bounded size."""
    monkeypatch.setattr(points_module, "MAX_BODY_BYTES", 100_000)
    bodies = finish(ResultEncoder().bodies(RUN, batch(*[RESULT] * 2_000), 0))
    assert len(bodies) > 2
    assert all(len(body.text) <= 100_000 for body in bodies)
    assert [body.points for body in bodies] == [body.text.count(b"\n") for body in bodies]
    assert sum(body.points for body in bodies) == 2_000


def test_more_requests_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of tags is bounded and changes no line."""
    results = [{**RESULT, "url": f"/{number % 7}"} for number in range(50)]
    expected = encode(batch(*results))
    monkeypatch.setattr(points_module, "_MAX_CACHED", 3)
    encoder = ResultEncoder()
    [body] = finish(encoder.bodies(RUN, batch(*results), 0))
    assert body.text.decode().splitlines(keepends=True) == expected
    assert len(encoder._tags) <= 3


def test_windows() -> None:
    """A window is one line at its end; without results there are no percentiles."""
    times = Times(1_000_000, 2_000_000, 3_000_000, 4_000_000, "x")
    windows = (
        Window(
            0.0,
            1.0,
            50.5,
            9,
            8,
            1,
            7,
            0,
            1,
            2,
            30,
            4,
            5_000,
            6,
            times,
            Times(),
            ("ports", "loop-lag"),
        ),
        Window(1.0, 0.5),
    )
    seconds = tuple(map(Second, windows, (1_000, 1_500)))
    [body] = finish(window_bodies(RUN, SecondsBatch(START, "open", 0, seconds, Totals())))
    head = "golo_seconds,agent=agent-1,job=job-1,name=shop,run=run-1,release=1\\ 2,model=open"
    assert body.text.decode().splitlines() == [
        f"{head} planned=50.5,scheduled=9i,started=8i,dropped=1i,succeeded=7i,failed=0i,"
        "in_flight=1i,results=30i,errors=4i,bytes=5000i,invalid=6i,duration_p50=0.001,"
        'duration_p95=0.002,duration_p99=0.003,duration_max=0.004,limited="ports loop-lag"'
        " 1767323046678000000",
        f"{head} planned=0.0,scheduled=0i,started=0i,dropped=0i,succeeded=0i,failed=0i,"
        'in_flight=0i,results=0i,errors=0i,bytes=0i,invalid=0i,limited="" 1767323047178000000',
    ]


def test_the_end_of_a_timeline_needs_no_point() -> None:
    """A batch without windows has no body."""
    assert finish(window_bodies(RUN, SecondsBatch(START, "open", 7, (), Totals()))) == []


def test_no_result_is_left_out_silently() -> None:
    """A batch with a line that is no result is a defect."""
    with pytest.raises(ValueError, match="1 of 2"):
        encode(Batch(0, 100, json.dumps(RESULT).encode() + b"\n{}\n"))
