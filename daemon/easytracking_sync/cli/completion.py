"""`completion`: print a shell's completion script, which click generates."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

from easytracking_sync.cli.global_options import COMPLETE_VARIABLE, NAME

SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog="""\b
It completes commands, options and the labels of configured accounts.

\b
Examples:
  easytracking-sync completion bash > /etc/bash_completion.d/easytracking-sync
  easytracking-sync completion zsh > "${fpath[1]}/_easytracking-sync"
  easytracking-sync completion fish > ~/.config/fish/completions/easytracking-sync.fish

Exit codes: 0 printed, 2 unknown shell."""
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for a shell."""
    kind = get_completion_class(shell)
    assert kind is not None
    made = kind(ctx.find_root().command, {}, NAME, COMPLETE_VARIABLE)
    click.echo(ShellComplete.source(made))  # bash's own would ask the bash of this machine for its version
