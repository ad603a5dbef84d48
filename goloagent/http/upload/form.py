"""The body of ``POST /upload``: multipart/form-data, whose part ``file`` becomes a binary.

It buffers the headers of one part at most. Errors that golo-cli users know have the texts of Go's
``Request.FormFile``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec
from multipart import (
    MultipartError,
    MultipartSegment,
    ParserError,
    PushMultipartParser,
    parse_options_header,
)
from multipart import __version__ as multipart_version
from twisted.logger import Logger
from twisted.web.http import parse_qs

from goloagent.artifacts.pending_upload import BinaryExists, NotExecutable, PendingUpload
from goloagent.artifacts.quota import QuotaExceeded
from goloagent.artifacts.store import ArtifactStore
from goloagent.http.problem import Problem, disk_problem, quoted
from goloagent.http.server.query import parse_query
from goloagent.jobs.database import Binary

MAX_PARTS = 8
MAX_NAME_LENGTH = 128
# A file name of 4 KiB and the rest of its header line.
MAX_PART_HEADER_BYTES = 4096 + 128

# RFC 7578 deprecates all others; an encoded file would be stored without decoding.
_IDENTITIES = frozenset({"", "binary", "8bit", "7bit"})
_BOUNDARY = re.compile(r"[ -~]{1,70}")


class _Parser(PushMultipartParser):  # type: ignore[misc]
    """A parser whose result does not depend on the split of its input.

    It overrides a private method, which `check_hooks` verifies; `setup.py` bounds the version.
    """

    def _on_segment_headerline(self, line: bytes) -> None:
        """Refuse a line feed in a header, which the parser refuses for some splits only."""
        if b"\n" in line:
            raise ParserError("a line feed inside a part's header")
        super()._on_segment_headerline(line)


def check_hooks() -> None:
    """Verify that the installed parser calls the overridden method.

    Raises:
        RuntimeError: it does not.
    """
    try:
        list(_Parser("b").parse(b"--b\r\nX: a\nb\r\n"))
    except ParserError:
        return
    raise RuntimeError(
        f"multipart {multipart_version} has no PushMultipartParser._on_segment_headerline: "
        "install a version of multipart that golo-agent's setup.py allows"
    )


class UploadQuery(msgspec.Struct, frozen=True, omit_defaults=True):
    """The query of an upload: a ``program`` must be executable, a ``file`` for jobs need not."""

    kind: Literal["program", "file"] = "program"


def is_program(uri: bytes) -> bool:
    """Return whether the upload to a URI is a program.

    Raises:
        Problem: its query is wrong.
    """
    parameters = parse_qs(uri.partition(b"?")[2], keep_blank_values=1)
    return parse_query(parameters, UploadQuery).kind == "program"


class UploadBody:
    """An upload that is parsed and written; ends with `finish` or `discard`.

    Raises:
        Problem: `content_type` is not multipart/form-data with a valid boundary.
    """

    _log = Logger()

    def __init__(
        self, content_type: str, artifacts: ArtifactStore, is_program: bool = True
    ) -> None:
        self._artifacts = artifacts
        self._is_program = is_program
        boundary = _boundary(content_type)
        # The line break before a boundary belongs to it; the first may lack one.
        self._delimiter = f"\r\n--{boundary}".encode()
        self._preamble: bytes | None = b"\r\n"
        # Latin-1 decodes all bytes, so that a file name may have any encoding.
        self._parser = _Parser(
            boundary,
            max_header_size=MAX_PART_HEADER_BYTES,
            max_segment_count=MAX_PARTS,
            header_charset="latin-1",
        )
        self._upload: PendingUpload | None = None
        self._in_file = False
        self._is_empty = True

    def feed(self, data: bytes) -> None:
        """Parse bytes of the body.

        Raises:
            Problem: they are malformed or cannot be stored. The upload is discarded.
        """
        with self._all_or_nothing():
            if self._preamble is not None:
                data = self._skip_preamble(self._preamble + data)
                if not data:
                    return
            for event in self._parser.parse(data):
                if isinstance(event, MultipartSegment):
                    self._begin_part(event)
                elif event is not None and self._in_file and self._upload is not None:
                    self._is_empty = False
                    self._upload.write(event)

    def duplicate(self) -> Binary | None:
        """Return a binary with the same content, for `sync`, or None."""
        return None if self._upload is None else self._upload.duplicate()

    def sync(self, duplicate: Binary | None = None) -> None:
        """Flush the upload, or share the file of `duplicate`; blocks: call it in a thread.

        Raises:
            Problem: as `finish`. The upload is discarded.
        """
        with self._all_or_nothing():
            self._complete().sync(duplicate)

    def finish(self) -> Binary:
        """Make the upload a binary.

        Raises:
            Problem: it is incomplete, is not executable or cannot be stored. The upload is
                discarded.
        """
        with self._all_or_nothing():
            return self._complete().commit()

    def discard(self) -> None:
        """Remove the written bytes; does nothing after `finish` or a second time."""
        if self._upload is not None:
            self._upload.discard()

    def _complete(self) -> PendingUpload:
        try:
            self._parser.close()
        except ParserError:
            raise Problem(400, "the upload is cut: its final boundary is missing") from None
        if self._upload is None:
            raise Problem(400, "http: no such file")
        if self._is_empty:
            raise Problem(400, "the file is empty")
        return self._upload

    def _skip_preamble(self, data: bytes) -> bytes:
        """Return the bytes after the preamble, and buffer the end of an incomplete one.

        The parser's own result depends on the split of its input.
        """
        start = data.find(self._delimiter)
        if start < 0:
            self._preamble = data[1 - len(self._delimiter) :]
            return b""
        self._preamble = None
        return data[start + 2 :]

    def _begin_part(self, part: MultipartSegment) -> None:
        # In Go, a part without a file name is a value, not a file.
        self._in_file = part.name == "file" and bool(part.filename)
        if not self._in_file:
            return
        if self._upload is not None:
            raise Problem(400, 'more than one part "file"')
        encoding = part.header("Content-Transfer-Encoding", "binary").strip().lower()
        if encoding not in _IDENTITIES:
            raise Problem(
                415,
                f'part "file" has the transfer encoding {quoted(encoding.encode("latin-1"))}; '
                "send its bytes as they are, without Content-Transfer-Encoding",
            )
        self._upload = self._artifacts.receive(_label(part.filename), self._is_program)

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Convert errors to a Problem, and discard the upload then."""
        try:
            yield
        except Problem:
            self.discard()
            raise
        except (NotExecutable, BinaryExists) as error:
            raise Problem(400, str(error)) from None
        except QuotaExceeded as error:
            raise Problem(507, str(error)) from None
        except MultipartError as error:
            self.discard()
            raise Problem(400, f"multipart: {error}") from None
        except OSError as error:
            self.discard()
            self._log.error("cannot store an upload: {error}", error=error)
            raise disk_problem(error) from error


def _label(filename: str) -> str:
    """Return a file name as a label: no directories, at most 128 printable characters."""
    decoded = filename.encode("latin-1", "replace").decode("utf-8", "replace")
    base = re.split(r"[/\\]", decoded)[-1]
    return "".join(filter(str.isprintable, base))[:MAX_NAME_LENGTH]


def _boundary(content_type: str) -> str:
    media_type, options = parse_options_header(content_type)
    if media_type != "multipart/form-data":
        raise Problem(415, "request Content-Type isn't multipart/form-data")
    boundary: str = options.get("boundary", "")
    if not boundary:
        raise Problem(400, "no multipart boundary param in Content-Type")
    if not _BOUNDARY.fullmatch(boundary):
        raise Problem(
            400, "invalid multipart boundary: 1 to 70 printable ASCII characters are allowed"
        )
    return boundary
