"""The words and the options that a command was given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import click
from click.core import ParameterSource


@attrs.frozen
class Given:
    """The words and the options of a command; an option that is missing is None.

    Args:
        variables: the options that are from the environment and not from the command line.
    """

    job: str | None
    words: tuple[str, ...]
    options: Mapping[str, Any] = attrs.field(repr=False)
    variables: frozenset[str] = frozenset()

    def layers(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the options of the environment and those of the command line."""
        given = {name: value for name, value in self.options.items() if value not in (None, ())}
        low = {name: value for name, value in given.items() if name in self.variables}
        return low, {name: value for name, value in given.items() if name not in low}


def given_of(context: click.Context) -> Given:
    """Return what the command of a context was given."""
    options = dict(context.params)
    job, words = options.pop("job"), options.pop("words")
    variables = frozenset(
        name
        for name in options
        if context.get_parameter_source(name) is ParameterSource.ENVIRONMENT
    )
    return Given(job, tuple(words), options, variables)
