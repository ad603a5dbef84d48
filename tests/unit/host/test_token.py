"""A token file is one line that a client can send, or ends the start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.host.startup_error import StartupError
from goloagent.host.token import MAX_TOKEN_BYTES, read_token

GOOD = {
    b"s3cret": b"s3cret",
    b"s3cret\n": b"s3cret",
    b"s3cret\r\n": b"s3cret",
    b"  s3cret \n\n": b"s3cret",
    b"a b~!": b"a b~!",
    b"x" * MAX_TOKEN_BYTES: b"x" * MAX_TOKEN_BYTES,
}
BAD = {
    b"": "is empty",
    b" \r\n": "is empty",
    b"\xef\xbb\xbfs3cret\r\n": "byte order mark",
    "s3cret".encode("utf-16"): "byte order mark",
    "s3cret".encode("utf-16-le"): "not printable ASCII",
    b"one\ntwo\n": "more than one line",
    b"one\rtwo": "more than one line",
    b"one\ttwo": "not printable ASCII",
    b"nul\0": "not printable ASCII",
    "schlüssel".encode(): "not printable ASCII",
    b"x" * (MAX_TOKEN_BYTES + 1): f"more than {MAX_TOKEN_BYTES} bytes",
}


@pytest.mark.parametrize(("content", "token"), GOOD.items(), ids=range(len(GOOD)))
def test_one_line(tmp_path: Path, content: bytes, token: bytes) -> None:
    """White space around it does not count."""
    (tmp_path / "token").write_bytes(content)
    assert read_token(tmp_path / "token") == token


@pytest.mark.parametrize(("content", "fault"), BAD.items(), ids=range(len(BAD)))
def test_invalid_tokens(tmp_path: Path, content: bytes, fault: str) -> None:
    """The sentence says what is wrong and what to write, and shows nothing of the token."""
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(StartupError) as refused:
        read_token(tmp_path / "token")
    sentence = str(refused.value)
    assert sentence.startswith(f"--token-file {tmp_path / 'token'}: it ")
    assert fault in sentence
    assert sentence.endswith("; write one line of printable ASCII into it")
    assert "s3cret" not in sentence


def test_what_is_no_file(tmp_path: Path) -> None:
    """A FIFO does not hang the start."""
    os.mkfifo(tmp_path / "fifo")
    for path, fault in {tmp_path / "fifo": "regular", tmp_path: "director"}.items():
        with pytest.raises(StartupError, match=fault):
            read_token(path)
    with pytest.raises(StartupError, match="No such file"):
        read_token(tmp_path / "none")
    assert read_token(None) is None


@given(content=st.binary(max_size=40))
def test_whatever_is_in_it(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """An accepted token fits into a header unchanged."""
    path = tmp_path_factory.getbasetemp() / "any-token"
    path.write_bytes(content)
    try:
        token = read_token(path)
    except StartupError:
        return
    assert token
    assert token.decode("ascii").isprintable()
    assert token == token.strip()
