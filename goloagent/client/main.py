"""The command ``golo``: finds the command, and prints its error as one sentence.

Modules of commands are imported when they run, so that ``--help`` and completion are quick.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import click

from goloagent import VERSION
from goloagent.client.errors import ClientError, reason_of
from goloagent.client.exit_codes import MEANINGS, ExitCode

COMMANDS = {
    "run": "run a load test and judge it",
    "check": "check a job and print the plan, without running it",
    "agents": "list the agents",
    "runs": "list the runs of the agents",
    "attach": "follow a run again, to its verdict",
    "stop": "end a run in order, or cancel it",
    "set": "change the load of a run: rate=800, users=50, pause",
    "logs": "print the log of a run",
    "report": "write the report of a run",
    "compare": "compare runs",
    "export": "write the results of a run as CSV, Parquet or hlog",
    "collect": "take results as a collector, and deliver them to outputs",
    "pack": "make one executable file of a load test in Python",
    "new": "start a load test in a language",
    "completion": "print the shell's completion script",
}
COMPLETE = "_GOLO_COMPLETE"
"""The variable by which a shell asks for completions."""

_FLAG_OF_2018 = re.compile(r"--?(f|schedule|provider|agent-tag)(=.*)?", re.DOTALL)
_EXIT_CODES = "\n".join(f"  {code:>3}  {MEANINGS[code]}" for code in ExitCode)


class LazyGroup(click.Group):
    """A group whose commands are in ``goloagent.client.commands``, by their names."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"goloagent.client.commands.{cmd_name}")
        command = getattr(module, f"{cmd_name}_command")
        assert isinstance(command, click.Command)
        command.help = _with_marks(command.help)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; a reader that closes the pipe has read enough, for click it is a 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            return ExitCode.OK

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _with_marks(text: str | None) -> str | None:
    r"""Return a help text whose ``\b`` keep the lines of a paragraph, as click reads them.

    Docstrings with a backslash are raw.
    """
    return None if text is None else text.replace("\\b\n", "\b\n")


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"\b\nExit codes:\n{_EXIT_CODES}",
)
@click.version_option(VERSION, prog_name="golo", message="%(prog)s %(version)s")
def golo() -> None:
    r"""Run load tests, here or on agents, and say whether they passed.

    \b
      golo run ./my-loadtest --users 25 --duration 30s
      golo run https://staging.example/ --rate 200 --duration 1m -t 'duration: p(95)<250ms'
    """


golo.help = _with_marks(golo.help)


def main(argv: Sequence[str] | None = None) -> None:
    """Run ``golo``, or golo-cli of 2018 if that is the program's name or its flags are given."""
    _open_standard_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    program = Path(sys.argv[0]).name
    if program == "golo-cli" or (arguments and _FLAG_OF_2018.fullmatch(arguments[0])):
        legacy = import_module("goloagent.client.legacy")
        sys.exit(legacy.main(program, arguments))
    try:
        code = golo.main(arguments, prog_name="golo", complete_var=COMPLETE, standalone_mode=False)
    except ClientError as error:
        _print_error(str(error))
        code = error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        code = ExitCode.INVALID
    except click.ClickException as error:
        _print_error(_sentence(error))
        code = ExitCode.INVALID
    except (click.Abort, KeyboardInterrupt):
        code = ExitCode.INTERRUPTED
    except OSError as error:
        place = error.filename or "standard output"
        click.echo(f"golo: {place}: {reason_of(error)}", err=True)
        code = ExitCode.INVALID
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # one more would replace the exit code
    sys.exit(_flushed(int(code or 0)))


def _open_standard_streams() -> None:
    """Open those that are closed, so that no file or socket takes their numbers."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
            stream = open(number, "r" if number == 0 else "w", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def _flushed(code: int) -> int:
    """Write what is buffered; Python would end with a traceback and with 120 if that fails."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            click.echo(f"golo: standard output: {error.strerror}", err=True)
            return code or ExitCode.INVALID
    return code


def _print_error(sentence: str) -> None:
    """Print the error; in GitHub Actions, also as an annotation."""
    click.echo(f"golo: {sentence}", err=True)
    if "GITHUB_ACTIONS" in os.environ:
        github = import_module("goloagent.client.view.github")
        for line in github.annotation("golo", sentence, os.environ):
            click.echo(line, err=True)


def _sentence(error: click.ClickException) -> str:
    """Return the message of a wrong option, with the command whose help has the right ones."""
    message = error.format_message().rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context is not None else "golo"
    return f"{message}; see {command} --help"
