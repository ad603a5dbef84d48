"""Errors of the client, each one sentence for the person at the terminal."""

from __future__ import annotations

from goloagent.client.exit_codes import ExitCode


class ClientError(Exception):
    """The command cannot go on; the message says what is wrong and what to do.

    Args:
        exit_code: the exit code of the process.
    """

    def __init__(self, sentence: str, exit_code: int = ExitCode.INVALID) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def reason_of(error: OSError) -> str:
    """Return why a file could not be used, as part of a sentence."""
    return (error.strerror or str(error)).lower()
