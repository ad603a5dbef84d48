"""`golo pack` with the real pip, and what it packs in a Python where nothing is installed."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from peers.readme import SYSTEM_PATH

import goloagent


def wheel(directory: Path, name: str, files: dict[str, str]) -> None:
    """Write a wheel of a package, version 1.0."""
    info = f"{name}-1.0.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    directory.mkdir(exist_ok=True)
    with zipfile.ZipFile(directory / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            record += f"{path},sha256={digest.decode().rstrip('=')},{len(text)}\n"
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")


def golo(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``golo`` with the wheels in ``wheels`` as the index of pip."""
    return subprocess.run(
        [sys.executable, "-m", "goloagent.client", *arguments],
        cwd=directory,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(goloagent.__file__).parents[1]),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(directory / "wheels"),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a packed file as an agent does, in an empty directory, with the system's Python."""
    home = program.parent / "home"
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [program, *arguments],
        cwd=home,
        env={
            "PATH": SYSTEM_PATH,
            "HOME": str(home),
            "TMPDIR": str(home),
            "PYTHONUNBUFFERED": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert [*home.iterdir()] == [], "it leaves what it has unpacked"
    return done


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a directory with the wheels of a package that reads its own data file."""
    source = "from pathlib import Path\ntext = Path(__file__).with_name('text.txt').read_text()\n"
    wheel(tmp_path / "wheels", "tool", {"tool/__init__.py": source, "tool/text.txt": "hello"})
    wheel(tmp_path / "wheels", "fast", {"fast/__init__.py": "import fast.no", "fast/x.so": ""})
    return tmp_path


def test_it_runs_where_nothing_is_installed(directory: Path) -> None:
    """The script is `__main__`, has its arguments, its package with data, its module, the SDK."""
    (directory / "my_test.py").write_text(
        "# /// script\n# dependencies = ['tool']\n# ///\n"
        "import sys, tool, mine\nfrom goloagent import sdk\n"
        "if __name__ == '__main__':\n"
        "    print(tool.text, mine.name, *sys.argv[1:])\n"
        "    sdk.report(method='GET', url='u', status=200, duration_seconds=1)\n"
        "    sys.exit(3)\n"
    )
    (directory / "mine.py").write_text("name = 'mine'\n")
    done = golo(directory, "pack", "my_test.py", "-o", "packed")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("packed: ")
    ran = run(directory / "packed", "a", "b c")
    assert (ran.returncode, ran.stderr) == (3, "")
    assert ran.stdout.startswith("hello mine a b c\n")
    assert '"url": "u"' in ran.stdout


def test_the_same_input_is_the_same_file(directory: Path) -> None:
    """Requirements of a file and of the option are equal, at another time and place."""
    (directory / "my_test.py").write_text("import tool\nprint(tool.text)\n")
    (directory / "requirements.txt").write_text("tool==1.0\n")
    other = directory / "other"
    other.mkdir()
    for more in (
        ["-r", "requirements.txt", "-o", "one"],
        ["--with", "tool", "-o", "other/two"],
    ):
        done = golo(directory, "pack", "my_test.py", *more)
        assert done.returncode == 0, done.stderr
    assert (directory / "one").read_bytes() == (other / "two").read_bytes()
    assert run(directory / "one").stdout == "hello\n"


def test_packages_for_another_python(directory: Path) -> None:
    """A load test that cannot import a compiled package says for which Python it was packed."""
    (directory / "my_test.py").write_text("import fast\n")
    pack = ["pack", "my_test.py", "--with", "fast", "-p", "/usr/bin/env python3", "-o", "packed"]
    platform = ["--platform", "manylinux2014_riscv64"]
    assert golo(directory, *pack, *platform).returncode == 0
    ran = run(directory / "packed")
    assert ran.returncode == 1
    assert "No module named 'fast.no'" in ran.stderr
    last = ran.stderr.splitlines()[-1]
    assert "was packed for Python 3." in last
    assert "on linux riscv64, and this is Python 3." in last
    assert "pack it again with --python 3." in last
    # If they were for this Python, the error is the script's.
    assert golo(directory, *pack, "--force").returncode == 0
    assert run(directory / "packed").stderr.endswith("No module named 'fast.no'\n")


def test_the_python_that_the_file_names(directory: Path) -> None:
    """It may be another than the one that runs golo: here one of its own, first in PATH."""
    pip = "import sys\nopen('asked', 'w').write(' '.join(sys.argv))\n"
    (directory / "pip.py").write_text(pip)
    (directory / "python3").write_text("#!/bin/sh\necho 3 9\n")
    (directory / "python3.7").write_text("#!/bin/sh\necho 3 7\n")
    (directory / "python3.88").write_text("#!/bin/sh\necho 3 89\n")
    (directory / "broken").mkdir()
    (directory / "broken/python3").write_text("#!/bin/sh\nexit 1\n")
    for path in directory.rglob("python3*"):
        path.chmod(0o755)
    (directory / "my_test.py").write_text("print()\n")
    pack = ["pack", "my_test.py", "--with", "tool", "-o", "packed"]
    path = f"{directory}:{os.environ['PATH']}"
    done = golo(directory, *pack, PATH=path)
    assert done.returncode == 0, done.stderr
    assert f"--python {directory}/python3 install" in (directory / "asked").read_text()
    for python, sentence in {
        "3.99": "python3.99, for which the packages are installed, is not on this machine: install",
        "3.88": f"{directory}/python3.88 is Python 3.89: use --python with its path",
        f"{directory}/broken/python3": f"{directory}/broken/python3 does not run: use --python",
    }.items():
        done = golo(directory, *pack, "--force", "-p", python, PATH=path)
        assert done.returncode == 104
        assert sentence in done.stderr


def test_a_python_that_is_too_old(directory: Path) -> None:
    """The sentence has the version that the script requires."""
    (directory / "my_test.py").write_text(
        "# /// script\n# dependencies = ['tool']\n# requires-python = '>=3.99'\n# ///\n"
    )
    assert golo(directory, "pack", "my_test.py", "-o", "packed").returncode == 0
    ran = run(directory / "packed")
    assert ran.returncode == 1
    assert ran.stderr.startswith("This load test needs Python 3.99 or newer, and ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing.py"], "cannot read missing.py: No such file or directory; give another file"),
        (["wheels"], "cannot read wheels: Is a directory; give another file"),
        (["wrong.py"], "wrong.py, line 2: '(' was never closed; correct it, or give a Python file"),
        (["my_test.py", "--with", "nosuch"], "No matching distribution found for nosuch; correct"),
        (["my_test.py", "--with", "a b"], "pip cannot install the packages of my_test.py: "),
        (["my_test.py", "-r", "none.txt"], "cannot read the requirements file none.txt: correct"),
        (["my_test.py", "-p", "node"], "--python 'node' is not a version (3.11)"),
        (["my_test.py", "-o", "wheels"], "wheels exists: use --force to replace it, or another"),
        (["my_test.py", "-o", "nowhere/x"], "cannot write into nowhere: use another --output"),
    ],
)
def test_wrong_inputs(directory: Path, arguments: list[str], sentence: str) -> None:
    """Each is one sentence and the exit code 104, and nothing is written."""
    (directory / "my_test.py").write_text("print()\n")
    (directory / "wrong.py").write_text("x = 1\nprint(\n")
    before = sorted(directory.iterdir())
    output = [] if "-o" in arguments else ["-o", "packed"]
    done = golo(directory, "pack", *arguments, *output)
    assert done.returncode == 104
    assert done.stderr.startswith("golo: ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(directory.iterdir()) == before


def test_without_pip(directory: Path) -> None:
    """The error says how to install it."""
    (directory / "my_test.py").write_text("print()\n")
    (directory / "pip.py").write_text("raise ImportError('No module named pip')\n")
    pack = ["pack", "my_test.py", "--with", "tool", "-o", "packed"]
    done = golo(directory, *pack)
    assert done.returncode == 104
    assert "has no pip, which installs the packages of my_test.py: run " in done.stderr
    assert "-m ensurepip, or install golo-agent[pack]\n" in done.stderr
    # The Python that the file names may have one.
    script = '#!/bin/sh\n[ "$1" = -I ] && echo 3 9\n[ "$3" != install ] || echo "$@" >asked\n'
    (directory / "python3.9").write_text(script)
    (directory / "python3.9").chmod(0o755)
    done = golo(directory, *pack, "-p", "3.9", PATH=f"{directory}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    assert (directory / "asked").read_text().startswith("-m pip install --quiet ")
