"""``golo new`` writes load tests to start from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click import Context

from goloagent.client import project
from goloagent.client.commands.new import new_command
from goloagent.client.config.job_file import read_job_file
from goloagent.client.exit_codes import ExitCode
from goloagent.client.main import main
from goloagent.core.threshold_parser import parse


def golo_new(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Return the exit code and the output."""
    with pytest.raises(SystemExit) as ended:
        main(["new", *map(str, arguments)])
    assert isinstance(ended.value.code, int)
    return ended.value.code, *capsys.readouterr()


@pytest.mark.parametrize("language", project.BUILD_COMMANDS)
def test_a_project(capsys: pytest.CaptureFixture[str], tmp_path: Path, language: str) -> None:
    """Its job file is valid, scripts are executable, and the commands are printed and explained."""
    directory = tmp_path / "a" / "my test"
    code, out, err = golo_new(capsys, language, directory)
    assert (code, err) == (ExitCode.OK, "")
    command = project.BUILD_COMMANDS[language]
    assert [line.strip() for line in out.splitlines() if line.startswith("    ")] == [
        f"cd '{directory}'",
        *([] if command is None else [command]),
        "golo run golo.toml",
    ]
    readme = (directory / "README.md").read_text(encoding="utf-8")
    assert f"\n    {command or 'golo run golo.toml'}\n" in readme
    job = read_job_file(directory / "golo.toml")
    assert job.program is not None
    assert (directory / job.program).exists() == (command is None)
    assert parse(job.members["thresholds"])
    assert set(job.members["env"]) == {"TARGET"}
    for path in directory.rglob("*"):
        if path.is_file():
            assert os.access(path, os.X_OK) == path.read_bytes().startswith(b"#!"), path


def test_the_shell_completes_languages() -> None:
    """Completion knows the templates."""
    language = new_command.params[0]
    context = Context(new_command)
    assert [item.value for item in language.shell_complete(context, "p")] == ["python"]
    assert len(language.shell_complete(context, "")) == len(project.BUILD_COMMANDS)


def test_compiled_files_are_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installers compile the Python files of a package, also in templates."""
    compiled = tmp_path / "templates" / "python" / "__pycache__" / "loadtest.pyc"
    compiled.parent.mkdir(parents=True)
    compiled.touch()
    (compiled.parents[1] / "loadtest.py").touch()
    monkeypatch.setattr(project, "TEMPLATES", tmp_path / "templates")
    assert project.create("python", tmp_path / "new") == [Path("loadtest.py")]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["loadtest.py"]


def test_an_empty_directory_is_used(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """It need not be new."""
    assert golo_new(capsys, "go", tmp_path)[0] == ExitCode.OK
    assert (tmp_path / "main.go").exists()


@pytest.mark.parametrize(
    ("language", "path", "sentence"),
    [
        ("cobol", "new", "there is no template for 'cobol': choose one of python, go, node, java"),
        ("../go", "new", "there is no template for '../go'"),
        ("go", "full", "full is not empty: choose a new directory"),
        ("go", "full/file", "file exists; choose another directory"),
        ("go", "full/file/new", "not a directory; choose another directory"),
    ],
)
def test_refusals(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, language: str, path: str, sentence: str
) -> None:
    """Each is one sentence, and nothing is written."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    code, out, err = golo_new(capsys, language, tmp_path / path)
    assert (code, out) == (ExitCode.INVALID, "")
    assert err.startswith("golo: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "full", tmp_path / "full" / "file"]
