"""The two requests of golo-cli: the bytes that Go's net/http and mime/multipart wrote."""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Mapping

from goloagent.client.legacy.connection import Response, exchange
from goloagent.client.legacy.errors import LegacyError
from goloagent.client.legacy.job_file import Job

PORT = 8081
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def send_program(host: str, path: str, content: bytes, environ: Mapping[str, str]) -> str:
    """Upload a program and return the ID of the binary.

    Args:
        host: written before the port, so an IPv6 address may have brackets or none.
        path: its path as given, which the agent gets too.

    Raises:
        LegacyError: the agent is unreachable or did not answer 200.
    """
    boundary = os.urandom(30).hex().encode()
    head, tail = multipart(path, boundary)
    response = exchange(
        host,
        PORT,
        "/upload",
        {"Content-Type": b"multipart/form-data; boundary=" + boundary},
        [head, content, tail],
        environ,
    )
    _check(response, 200)
    return _binary(response)


def send_job(host: str, job: Job, binary: str, environ: Mapping[str, str]) -> None:
    """Queue a job.

    Raises:
        LegacyError: the agent is unreachable or did not answer 200 or 201.
    """
    _check(exchange(host, PORT, "/queue", {}, [encode(job, binary)], environ), 200, 201)


def multipart(path: str, boundary: bytes) -> tuple[bytes, bytes]:
    """Return what stands before and after the file in the form."""
    name = os.fsencode(path).replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    head = (
        b"--" + boundary + b"\r\n"
        b'Content-Disposition: form-data; name="file"; filename="' + name + b'"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n"
    )
    return head, b"\r\n--" + boundary + b"--\r\n"


def encode(job: Job, binary: str) -> bytes:
    """Return the JSON of a job as Go's encoding/json writes it."""
    return (
        f'{{"name":{quote(job.name)},"users":{job.users},"duration":{job.duration},'
        f'"binary":{quote(binary)}}}'
    ).encode()


def quote(text: str) -> str:
    """Return a JSON string as Go writes it, with the characters of HTML escaped."""

    def escape(match: re.Match[str]) -> str:
        return _SHORT_ESCAPES.get(match[0]) or f"\\u{ord(match[0]):04x}"

    text = text.encode(errors="replace").decode()  # half a surrogate pair of an agent's JSON
    return '"' + re.sub(r'["\\<>&\x00-\x1f\u2028\u2029]', escape, text) + '"'


def _check(response: Response, *statuses: int) -> None:
    if response.status not in statuses:
        raise LegacyError(f"bad status: {response.status} {response.reason}".rstrip())


def _binary(response: Response) -> str:
    try:
        body = response.body
        answer = json.loads(gzip.decompress(body) if response.is_gzip else body)
    except (ValueError, OSError, EOFError, zlib.error, RecursionError):
        raise LegacyError("invalid response to the upload: it is not JSON") from None
    binary = answer.get("binary") if isinstance(answer, dict) else None
    if not isinstance(binary, str):
        raise LegacyError('invalid response to the upload: it has no text "binary"')
    return binary
