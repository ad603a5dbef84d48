"""``golo completion``: the completion script of a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def completion_command(shell: str) -> None:
    r"""Print the completion script of a shell.

    \b
      bash: eval "$(golo completion bash)"
      zsh:  eval "$(golo completion zsh)"
      fish: golo completion fish | source
    """
    from goloagent.client.main import COMPLETE, golo

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(golo, {}, "golo", COMPLETE).source())
