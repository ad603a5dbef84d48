"""Modules beside a script: which are packed, and which are not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from goloagent.client.errors import ClientError
from goloagent.client.packing import own_modules, program_of


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Write a script that imports a module and a package of its own, beside other files."""
    for name, text in {
        "my_test.py": "import json, goloagent.sdk, requests, helpers, shop.cart as cart\n",
        "helpers.py": "import my_test\nfrom deeper import one\nfrom .level import two\n",
        "deeper.py": "",
        "level.py": "",
        "other.py": "",
        "shop/__init__.py": "def f(): import lazy\n",
        "shop/cart.py": "print(\n",
        "shop/data/items.csv": "1,2",
        "shop/__pycache__/cart.cpython-311.pyc": "",
        "shop/.git/config": "",
        "lazy.py": "",
        "goloagent/__init__.py": "",
        "json/data.txt": "no package",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "my_test.py"


def test_what_is_found(script: Path) -> None:
    """It is what the script imports, also through a module, and a package with its data."""
    found = own_modules.find(script, script.read_bytes())
    modules = {"helpers.py", "deeper.py", "lazy.py"}
    assert {*found} == modules | {"shop/__init__.py", "shop/cart.py", "shop/data/items.csv"}
    assert found["shop/data/items.csv"] == b"1,2"


def test_a_script_with_modules_is_packed(script: Path) -> None:
    """Alone it would fail on the agent."""
    program = program_of(script, python=sys.executable)
    assert isinstance(program, bytes)
    assert b"program/shop/data/items.csv" in program
    script.write_text("#!/usr/bin/env python3\nimport json\n")
    assert program_of(script) == script


def test_too_many_files(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is an error, and no part of the modules is packed."""
    monkeypatch.setattr(own_modules, "MAX_FILES", 5)
    with pytest.raises(ClientError, match="imports more than 5 files beside it: install them"):
        own_modules.find(script, script.read_bytes())
