"""The parser of uploads."""

from __future__ import annotations

import errno
import os
import tracemalloc
from collections.abc import Sequence
from itertools import pairwise

import pytest
from conftest import LoggedErrors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.http import golo_cli
from unit.http.in_memory import Agent

from goloagent.http.problem import Problem
from goloagent.http.upload.form import UploadBody, _Parser, check_hooks

BOUNDARY = "b0undary"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"
SCRIPT = b"#!/bin/sh\n"

same_agent = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def part(content: bytes, disposition: str = 'name="file"; filename="./schedule"') -> bytes:
    """Return one part of a form."""
    header = f"Content-Disposition: form-data; {disposition}\r\n"
    return f"--{BOUNDARY}\r\n".encode() + header.encode("latin-1") + b"\r\n" + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    """Return a complete form."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Split `data` at `cuts`, without empty pieces."""
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(data)}), len(data)]
    return [data[start:end] for start, end in pairwise(edges) if start < end]


def upload(
    agent: Agent, body: Sequence[bytes], content_type: str = TYPE
) -> bytes | tuple[int, str]:
    """Return the stored bytes of an upload, or its error; no other file is left."""
    before = agent.files
    try:
        incoming = UploadBody(content_type, agent.artifacts)
        for piece in body:
            incoming.feed(piece)
        incoming.sync()
        binary = incoming.finish()
    except Problem as problem:
        assert agent.files == before
        return problem.status, problem.detail
    kept = agent.artifacts.ids / binary.id
    assert agent.files == sorted([*before, kept])
    assert agent.store.binary(binary.id) == binary
    return kept.read_bytes()


CONTENTS = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [
                f"\r\n--{BOUNDARY}"[:-1].encode(),
                f"--{BOUNDARY}--\r\n".encode(),
                f"\n--{BOUNDARY}\r\n".encode(),
                f"\r\n-{BOUNDARY}--".encode(),
                b"\r\n--",
                b"\r\n\r\n",
                b"\r",
                b"\n",
            ]
        ),
    ),
    max_size=12,
).map(lambda chunks: SCRIPT + b"".join(chunks))


@same_agent
@given(
    content=CONTENTS.filter(lambda content: f"\r\n--{BOUNDARY}".encode() not in content),
    cuts=st.lists(st.integers(0, 600), max_size=30),
)
def test_the_file_does_not_depend_on_the_split(
    agent: Agent, content: bytes, cuts: list[int]
) -> None:
    """Whole, byte by byte and at random splits, look-alikes of the boundary included."""
    body = form(part(b"1", 'name="before"'), part(content), part(b"2", 'name="x"; filename="y"'))
    assert upload(agent, [body]) == content
    assert upload(agent, pieces(body, range(len(body)))) == content
    assert upload(agent, pieces(body, cuts)) == content


@same_agent
@given(noise=st.binary(max_size=300), cut=st.integers(0, 300))
def test_any_bytes(agent: Agent, noise: bytes, cut: int) -> None:
    """A body that is not multipart is 400."""
    outcome = upload(agent, pieces(noise, [cut]))
    assert isinstance(outcome, tuple)
    assert outcome[0] == 400


@same_agent
@given(data=st.data())
def test_a_truncated_upload_is_refused(agent: Agent, data: st.DataObject) -> None:
    """Without its final boundary nothing is stored."""
    body = form(part(SCRIPT + b"exit 0"))
    end = data.draw(st.integers(0, len(body) - len("--\r\n") - 1))
    assert upload(agent, [body[:end]] if end else []) == (
        400,
        "the upload is cut: its final boundary is missing",
    )


@pytest.mark.parametrize("encoding", ["quoted-printable", "Quoted-Printable", "base64", "x-gzip"])
def test_an_encoded_file_is_refused(agent: Agent, encoding: str) -> None:
    """It would be stored without decoding; other parts are ignored."""
    line = f"Content-Transfer-Encoding: {encoding}\r\n".encode()
    encoded = part(SCRIPT).replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n", 1)
    assert upload(agent, [form(encoded)]) == (
        415,
        f'part "file" has the transfer encoding "{encoding.lower()}"; '
        "send its bytes as they are, without Content-Transfer-Encoding",
    )
    other = part(b"x", 'name="note"').replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n", 1)
    assert upload(agent, [form(other, part(SCRIPT))]) == SCRIPT


@pytest.mark.parametrize(
    ("query", "status", "answered"),
    [
        (b"", 400, b"not an executable"),
        (b"?kind=program", 400, b"not an executable"),
        (b"?kind=file", 200, b'{"binary":'),
        (b"?kind=file&more=1", 200, b'{"binary":'),
        (b"?%80=%ff&kind=file", 200, b'{"binary":'),
        (b"?kind=", 400, b"invalid query: Invalid enum value"),
        (b"?kind=file&kind=file", 400, b'"kind" stands more than once in the query'),
    ],
)
def test_a_file_for_jobs_need_not_be_executable(
    agent: Agent, query: bytes, status: int, answered: bytes
) -> None:
    """If the client says that it is no program."""
    upload = golo_cli.upload(b"id\n1\n").replace(b"/upload", b"/upload" + query, 1)
    response = agent.request(upload)
    assert (response.status, answered in response.body) == (status, True), response


@pytest.mark.parametrize("encoding", ["binary", "8bit", "7BIT", ""])
def test_identity_encodings(agent: Agent, encoding: str) -> None:
    """Encodings that change no byte are accepted."""
    line = f"Content-Transfer-Encoding: {encoding}\r\n".encode()
    plain = part(SCRIPT).replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n", 1)
    assert upload(agent, [form(plain)]) == SCRIPT


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (form(), "http: no such file"),
        (form(part(b"x", 'name="other"; filename="y"')), "http: no such file"),
        (form(part(SCRIPT, 'name="file"')), "http: no such file"),
        (form(part(SCRIPT, 'name="file"; filename=""')), "http: no such file"),
        (form(part(SCRIPT), part(SCRIPT)), 'more than one part "file"'),
        (form(part(b"")), "the file is empty"),
        (
            form(part(b"MZ\x90\x00")),
            "not an executable: neither an ELF file nor a script that starts with #!",
        ),
        (
            form(*[part(b"x", f'name="{n}"') for n in range(8)], part(SCRIPT)),
            "multipart: Maximum segment count exceeded",
        ),
        (
            form(part(SCRIPT, f'name="file"; filename="{"x" * 5000}"')),
            "multipart: Maximum segment header length exceeded",
        ),
        (
            form(f"--{BOUNDARY}\r\n\r\n".encode() + SCRIPT + b"\r\n"),
            "multipart: Missing Content-Disposition segment header",
        ),
        (b"--other\r\n" * 3, "the upload is cut: its final boundary is missing"),
    ],
)
def test_invalid_uploads_are_explained(agent: Agent, body: bytes, sentence: str) -> None:
    """Each is 400 with its reason, for any split."""
    for step in (1, 7, len(body)):
        assert upload(agent, pieces(body, range(0, len(body), step))) == (400, sentence)


@pytest.mark.parametrize(
    ("content_type", "refusal"),
    [
        ("", (415, "request Content-Type isn't multipart/form-data")),
        ("application/json", (415, "request Content-Type isn't multipart/form-data")),
        (
            "multipart/mixed; boundary=x",
            (415, "request Content-Type isn't multipart/form-data"),
        ),
        (
            "multipart/form-data",
            (400, "no multipart boundary param in Content-Type"),
        ),
        (
            "multipart/form-data; boundary=",
            (400, "no multipart boundary param in Content-Type"),
        ),
        *(
            (
                f"multipart/form-data; boundary={boundary}",
                (
                    400,
                    "invalid multipart boundary: 1 to 70 printable ASCII characters are allowed",
                ),
            )
            for boundary in ("x" * 71, '"b\xe9"', '"a\x01b"')
        ),
    ],
)
def test_the_content_type(agent: Agent, content_type: str, refusal: tuple[int, str]) -> None:
    """Another type is 415; an invalid boundary is 400."""
    assert upload(agent, [], content_type) == refusal


def test_a_boundary_of_70_characters(agent: Agent) -> None:
    """The maximum of RFC 2046 works, quoted too."""
    boundary = "b" * 70
    body = form(part(SCRIPT)).replace(BOUNDARY.encode(), boundary.encode())
    assert upload(agent, [body], f'Multipart/Form-Data; boundary="{boundary}"') == SCRIPT


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/passwd", "a\x00b", "x" * 4096, "\xe9\xff", "..", "%2e%2e%2f"]
)
def test_the_file_name_is_ignored(agent: Agent, name: str) -> None:
    """The file is stored under its id and nowhere else."""
    assert upload(agent, [form(part(SCRIPT, f'name="file"; filename="{name}"'))]) == SCRIPT
    assert {path.name for path in agent.directory.iterdir()} <= {
        "incoming",
        "binaries",
        "contents",
        "agent.sqlite",
        "agent.sqlite-wal",
        "agent.sqlite-shm",
    }


def test_preamble_and_epilogue_are_ignored(agent: Agent) -> None:
    """As in Go."""
    body = b"preamble\r\n" + form(part(SCRIPT)) + b"epilogue" * 100
    assert upload(agent, [body]) == SCRIPT
    assert upload(agent, pieces(body, range(len(body)))) == SCRIPT


def test_an_existing_id(agent: Agent) -> None:
    """The later upload is refused, the existing binary stays."""
    incoming = UploadBody(TYPE, agent.artifacts)
    incoming.feed(form(part(SCRIPT)))
    [written] = agent.files
    taken = agent.artifacts.ids / written.name
    taken.write_bytes(b"earlier")
    with pytest.raises(Problem) as refusal:
        incoming.finish()
    assert refusal.value.detail == f"Binary {written.name} exists"
    assert refusal.value.status == 400
    assert agent.files == [taken]
    assert taken.read_bytes() == b"earlier"


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (errno.ENOSPC, 507, "the agent's disk is full"),
        (errno.EDQUOT, 507, "the agent's disk is full"),
        (errno.EIO, 503, "the agent cannot use its disk: Input/output error"),
        (errno.EROFS, 503, "the agent cannot use its disk: Read-only file system"),
        (errno.EACCES, 503, "the agent cannot use its disk: Permission denied"),
        (errno.EMFILE, 503, "the agent cannot use its disk: Too many open files"),
        (errno.ENOENT, 503, "the agent cannot use its disk: No such file or directory"),
    ],
)
@pytest.mark.parametrize(
    "call",
    [
        "goloagent.artifacts.pending_upload.PendingUpload._open",
        "goloagent.artifacts.pending_upload.PendingUpload.write",
        "os.fsync",
        "goloagent.jobs.database.Store.add_binary",
    ],
)
def test_an_error_of_the_agents_disk(
    agent: Agent,
    monkeypatch: pytest.MonkeyPatch,
    logged_errors: LoggedErrors,
    call: str,
    error: int,
    status: int,
    sentence: str,
) -> None:
    """It is 503, or 507 when full, without a path; it is logged, and no file stays."""

    def fail(*_: object) -> None:
        raise OSError(error, os.strerror(error), str(agent.directory))

    with monkeypatch.context() as patch:
        patch.setattr(call, fail)
        said = upload(agent, [form(part(SCRIPT))])
    assert said[0] == status
    assert said[1].startswith(sentence)
    assert str(agent.directory) not in said[1]
    assert len(logged_errors.flush()) == 1
    assert agent.files == []


def test_memory_is_bounded(agent: Agent) -> None:
    """A 16 MiB file and as much after it need less than 1 MiB of memory."""
    block = b"\r\n--b0undarX" * 6000
    upload_body = UploadBody(TYPE, agent.artifacts)
    tracemalloc.start()
    try:
        upload_body.feed(part(SCRIPT)[:-2])
        for _ in range(16 * 1024 * 1024 // len(block)):
            upload_body.feed(block)
        upload_body.feed(b"\r\n" + form())
        for _ in range(16 * 1024 * 1024 // len(block)):
            upload_body.feed(block)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert upload_body.finish().size == len(SCRIPT) + 16 * 1024 * 1024 // len(block) * len(block)
    assert peak < 1024 * 1024


def test_a_missing_part_of_multipart_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version of multipart that does not call the overridden method is refused at start."""
    check_hooks()
    monkeypatch.delattr(_Parser, "_on_segment_headerline")
    with pytest.raises(RuntimeError, match=r"multipart \S+ has no PushMultipartParser._on_seg"):
        check_hooks()
