"""The body of ``POST /upload``: multipart/form-data, whose part ``file`` becomes a binary.

Holds no more than one part's headers and the bytes just given. Texts that golo-cli users know are
those of Go's ``Request.FormFile``. Does not know the connection that the bytes come from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from multipart import (
    MultipartError,
    MultipartSegment,
    ParserError,
    PushMultipartParser,
    parse_options_header,
)
from twisted.logger import Logger

from goloagent.artifacts.pending_upload import BinaryExists, NotExecutable, PendingUpload
from goloagent.artifacts.quota import QuotaExceeded
from goloagent.artifacts.store import ArtifactStore
from goloagent.http.problem import Problem, disk_problem, quoted
from goloagent.jobs.database import Binary

MAX_PARTS = 8
# A file name of 4 KiB is ignored, not refused: the rest of its header line needs room beside it.
MAX_PART_HEADER_BYTES = 4096 + 128

# RFC 7578 leaves no other in use; what is encoded would be stored as it came.
_IDENTITIES = frozenset({"", "binary", "8bit", "7bit"})
_BOUNDARY = re.compile(r"[ -~]{1,70}")


class _Parser(PushMultipartParser):  # type: ignore[misc]
    """A parser whose judgement does not depend on how the bytes are cut into packets."""

    def _on_segment_headerline(self, line: bytes) -> None:
        """Refuse a line feed in a line, seen otherwise only in a packet without the line's end."""
        if b"\n" in line:
            raise ParserError("a line feed inside a part's header")
        super()._on_segment_headerline(line)


class UploadBody:
    """One upload being parsed and written; ends with `finish` or `discard`.

    Raises:
        Problem: `content_type` is not one whose body holds a file.
    """

    _log = Logger()

    def __init__(self, content_type: str, binaries: ArtifactStore) -> None:
        self._binaries = binaries
        boundary = _boundary(content_type)
        # A boundary begins a line: the line break before it, or before the body, belongs to it.
        self._delimiter = f"\r\n--{boundary}".encode()
        self._preamble: bytes | None = b"\r\n"
        # Latin-1 decodes every byte: a file name in whatever encoding is ignored, not refused.
        self._parser = _Parser(
            boundary,
            max_header_size=MAX_PART_HEADER_BYTES,
            max_segment_count=MAX_PARTS,
            header_charset="latin-1",
        )
        self._incoming: PendingUpload | None = None
        self._in_file = False
        self._empty = True

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body.

        Raises:
            Problem: they cannot be part of an upload, or cannot be stored. The upload is discarded.
        """
        with self._all_or_nothing():
            if self._preamble is not None:
                data = self._pass_preamble(self._preamble + data)
                if not data:
                    return
            for event in self._parser.parse(data):
                if isinstance(event, MultipartSegment):
                    self._begin_part(event)
                elif event is not None and self._in_file and self._incoming is not None:
                    self._empty = False
                    self._incoming.write(event)

    def duplicate(self) -> Binary | None:
        """Return a binary that holds the same as the upload, for `sync`, or None."""
        return None if self._incoming is None else self._incoming.duplicate()

    def sync(self, twin: Binary | None = None) -> None:
        """Have the disk hold what there is, in the file of `twin` when it has one.

        Takes its time, to discard the upload as well: call it off the reactor thread.

        Raises:
            Problem: as `finish`. The upload is discarded.
        """
        with self._all_or_nothing():
            self._complete().sync(twin)

    def finish(self) -> Binary:
        """Make the upload a binary, the body being complete.

        Raises:
            Problem: it is not complete, holds nothing that can be run, or cannot be stored. The
                upload is discarded.
        """
        with self._all_or_nothing():
            return self._complete().commit()

    def discard(self) -> None:
        """Remove what was written. Does nothing after `finish` or a second time."""
        if self._incoming is not None:
            self._incoming.discard()

    def _complete(self) -> PendingUpload:
        try:
            self._parser.close()
        except ParserError:
            raise Problem(400, "the upload is cut: its final boundary is missing") from None
        if self._incoming is None:
            raise Problem(400, "http: no such file")
        if self._empty:
            raise Problem(400, "the file is empty")
        return self._incoming

    def _pass_preamble(self, data: bytes) -> bytes:
        """Return what follows the preamble, of which only the last bytes are kept.

        The parser has its own way, which depends on how the preamble is cut into packets.
        """
        start = data.find(self._delimiter)
        if start < 0:
            self._preamble = data[1 - len(self._delimiter) :]
            return b""
        self._preamble = None
        return data[start + 2 :]

    def _begin_part(self, part: MultipartSegment) -> None:
        # To Go, a part without a file name is a value of that name, not a file.
        self._in_file = part.name == "file" and bool(part.filename)
        if not self._in_file:
            return
        if self._incoming is not None:
            raise Problem(400, 'more than one part "file"')
        encoding = part.header("Content-Transfer-Encoding", "binary").strip().lower()
        if encoding not in _IDENTITIES:
            raise Problem(
                415,
                f'part "file" has the transfer encoding {quoted(encoding.encode("latin-1"))}; '
                "send its bytes as they are, without Content-Transfer-Encoding",
            )
        self._incoming = self._binaries.receive()

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Turn what can go wrong into an answer, and leave nothing behind then."""
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
            self._log.error("an upload cannot be stored: {error}", error=error)
            raise disk_problem(error) from error


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
