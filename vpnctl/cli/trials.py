"""`vpnctl trial …`."""

from __future__ import annotations

from typing import Annotated

import typer

from vpnctl.cli import output
from vpnctl.cli.completion import complete_users
from vpnctl.cli.front import current

commands = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Trials: once a person.")


@commands.callback()
def _trial() -> None:
    """Trials: once a person."""


@commands.command("start")
def start(
    name: Annotated[str, typer.Argument(metavar="USER", help="User name.", autocompletion=complete_users)],
) -> int:
    """Start a person's trial. Once a person, also after the account was deleted."""
    from vpnctl.actions.fleet.settle import settle
    from vpnctl.actions.sales import trials

    front = current()
    granted = trials.start(front.app, name)
    settled = settle(front.app, granted.node_ids)
    row = granted.subscription
    until = f"{row.ends_at.astimezone(front.settings.zone):%Y-%m-%d %H:%M}"
    return output.finish(
        front, settled, f"{name}: trial until {until}", subscriptions=[{"user": name, "ends_at": row.ends_at}]
    )
