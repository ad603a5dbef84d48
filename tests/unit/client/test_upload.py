"""The file that is made for the upload of a program."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from goloagent.client.program.source import ProgramSource
from goloagent.client.program.upload import upload_of
from goloagent.loadtests import source


def test_nothing_is_left_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file can be read as often as needed, and has no name even while it is used."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with upload_of(ProgramSource("url", words=("http://shop.example/",))) as upload:
        assert list(tmp_path.iterdir()) == []
        assert upload.path.read_bytes() == upload.path.read_bytes() == source("http_get")
        assert upload.args == ("http://shop.example/",)
