"""The example collector stores each result once, whatever is repeated, in whatever pieces."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

EXAMPLE = Path(__file__).parents[2] / "examples" / "collector.py"
specification = importlib.util.spec_from_file_location("example_collector", EXAMPLE)
assert specification is not None
assert specification.loader is not None
collector = importlib.util.module_from_spec(specification)
specification.loader.exec_module(collector)


@pytest.fixture(scope="module", autouse=True)
def no_sync() -> Iterator[None]:
    """Save the time of syncing: what a power cut takes is not tested here."""
    with mock.patch.object(os, "fsync"):
        yield


@given(st.data())
def test_each_result_is_stored_once(data: st.DataObject) -> None:
    """Answers are lost, batches change their size, the agent goes back, the collector crashes."""
    lines = [b'{"n":%d}' % number for number in range(data.draw(st.integers(1, 30)))]
    gaps = [data.draw(st.integers(0, 3)) for _ in lines]  # invalid lines, which are not delivered
    starts, position = [], 0
    for line, gap in zip(lines, gaps, strict=True):
        position += gap
        starts.append(position)
        position += len(line) + 1
    with TemporaryDirectory() as directory:
        results = collector.Results(Path(directory), "name")
        acknowledged, commits = 0, [0]
        for _ in range(100):
            if acknowledged == len(lines):
                break
            count = data.draw(st.integers(1, len(lines) - acknowledged))
            batch = lines[acknowledged : acknowledged + count]
            end = acknowledged + count - 1
            last = starts[end] + len(lines[end])
            what = data.draw(st.sampled_from(["answered", "lost", "agent restarts", "crash"]))
            if what == "crash":
                (Path(directory) / "name.jsonl").open("ab").write(b'{"torn')
                (Path(directory) / "name.index").open("ab").write(b"job\t1")
                results = collector.Results(Path(directory), "name")
            else:
                results.push(f"job/{starts[acknowledged]}-{last}", batch)
            if what == "answered":
                acknowledged += count
                commits.append(acknowledged)
            elif what == "agent restarts":
                acknowledged = data.draw(st.sampled_from(commits))
                commits = [commit for commit in commits if commit <= acknowledged]
        stored = results.path.read_bytes().splitlines()
    assert len(stored) == len(set(stored))
    assert stored[:acknowledged] == lines[:acknowledged]


def test_jobs_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    """The same bytes of two jobs' logs are two batches; one without a key is always new."""
    results = collector.Results(tmp_path, "name")
    assert results.push("one/0-9", [b"{}"]) == 1
    assert results.push("two/0-9", [b"{}"]) == 1
    assert results.push(None, [b"{}"]) == 1
    assert results.push(None, [b"{}"]) == 1
    assert results.push("one/0-9", [b"{}"]) == 0
    assert results.path.read_bytes() == b"{}\n" * 4


def test_a_full_disk_stores_nothing_of_a_batch(tmp_path: Path) -> None:
    """The same batch is stored whole when there is room again."""
    results = collector.Results(tmp_path, "name")
    results.push("job/0-9", [b'{"n":0}'])
    with (
        mock.patch.object(collector, "_write", side_effect=[None, OSError("full")]),
        pytest.raises(OSError, match="full"),
    ):
        results.push("job/10-19", [b'{"n":1}'])
    assert results.push("job/10-19", [b'{"n":1}']) == 1
    assert results.path.read_bytes() == b'{"n":0}\n{"n":1}\n'
    assert collector.Results(tmp_path, "name").push("job/10-19", [b'{"n":1}']) == 0


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"[]", []),
        (b'[{"a":1}]', [b'{"a":1}']),
        (b' [ {"a": "\\n,]"} ,\n {\r\n"b":[{}]} ] ', [b'{"a": "\\n,]"}', b'{  "b":[{}]}']),
    ],
)
def test_the_elements_are_kept_as_they_were_sent(body: bytes, expected: list[bytes]) -> None:
    """Each is one line, with the bytes that came."""
    found = collector.elements(body)
    assert found == expected
    assert [json.loads(line) for line in found] == json.loads(body)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[", b"[1]", b"[{}", b"[{},]", b"[{}]x", b"[{} {}]", b"\xff", b"[{]"]
)
def test_what_is_no_array_of_results_is_refused(body: bytes) -> None:
    """The agent divides a batch that is answered 400; nothing is stored by halves."""
    with pytest.raises(collector.Refused) as caught:
        collector.elements(body)
    assert caught.value.args[0] == 400


@pytest.mark.parametrize(
    ("error", "is_logged"), [(ConnectionResetError(), False), (ValueError("defect"), True)]
)
def test_a_disconnect_is_not_logged(
    error: Exception, is_logged: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """A client that resets its connection causes no traceback; a defect does."""
    server = collector.Collector.__new__(collector.Collector)
    try:
        raise error
    except type(error):
        server.handle_error(None, ("127.0.0.1", 1))
    assert ("Traceback" in capfd.readouterr().err) is is_logged
