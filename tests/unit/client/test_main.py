"""The command ``golo`` without a command's work."""

from __future__ import annotations

import subprocess
import sys

import pytest

from goloagent import VERSION
from goloagent.client.agents.address import AgentAddress
from goloagent.client.exit_codes import MEANINGS, ExitCode
from goloagent.client.main import COMMANDS, main
from goloagent.core.address import AddressError


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Return the exit code and the output of a command."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out, err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    """It is the version of the package."""
    assert run(capsys, "--version") == (0, f"golo {VERSION}\n", "")


def test_help_has_every_command_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """A newcomer sees what there is."""
    code, out, err = run(capsys, "--help")
    assert (code, err) == (0, "")
    assert all(name in out for name in COMMANDS)
    assert all(f"{code:>3}  {MEANINGS[code]}" in out for code in ExitCode)


def test_help_has_the_lines_of_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """The marks of docstrings, which are raw, are none of the text."""
    for arguments in (["--help"], ["compare", "--help"]):
        _, out, _ = run(capsys, *arguments)
        assert "\\b" not in out
        assert "\n    golo " in out


def test_an_unknown_command_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence says where the right ones are."""
    code, out, err = run(capsys, "rum")
    assert (code, out) == (ExitCode.INVALID, "")
    assert err.startswith("golo: No such command 'rum'")
    assert err.endswith("see golo --help\n")
    assert err.count("\n") == 1


def test_an_error_is_an_annotation_in_github_actions(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page of the job then says why the step failed."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    _, out, err = run(capsys, "rum")
    sentence, annotation = err.splitlines()
    assert out == ""
    assert annotation == f"::error title=golo::{sentence.removeprefix('golo: ')}"


def test_help_imports_no_command_and_no_twisted() -> None:
    """The first words of a newcomer, and each completion, must be quick."""
    program = (
        "import sys, goloagent.client.main as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in sys.modules if name.startswith(('twisted', 'rich', 'treq'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("localhost", "localhost:8081"),
        ("host-1:9000", "host-1:9000"),
        ("[2001:db8::1]", "[2001:db8::1]:8081"),
        ("https://agent.example/golo/", "https://agent.example/golo"),
        ("http://agent.example", "agent.example:80"),
        ("unix:/run/golo.sock", "unix:/run/golo.sock"),
    ],
)
def test_addresses(text: str, shown: str) -> None:
    """Each form has one text."""
    assert str(AgentAddress.parse(text)) == shown


@pytest.mark.parametrize(
    "text", ["", "2001:db8::1", "host:x", "ftp://host", "http://a:b@host", "unix:relative", "a b"]
)
def test_addresses_that_are_refused(text: str) -> None:
    """Anything else is an error."""
    with pytest.raises(AddressError):
        AgentAddress.parse(text)
