"""`vpnctl trial …`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from vpnctl.cli.carry import Told, carry_out
from vpnctl.cli.completion import complete_users
from vpnctl.cli.front import current

if TYPE_CHECKING:
    from vpnctl.actions.outcome import Settled
    from vpnctl.actions.sales.subscriptions import Granted

commands = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Trials: once a person.")


@commands.callback()
def _trial() -> None:
    """Trials: once a person."""


@commands.command("start")
def start(
    name: Annotated[str, typer.Argument(metavar="USER", help="User name.", autocompletion=complete_users)],
) -> int:
    """Start a person's trial: once a person. Whoever has a Telegram id is known again after the account was deleted."""
    from vpnctl.actions.sales import trials

    def tell(granted: Granted, _: Sequence[Settled]) -> Told:
        ends = granted.subscription.ends_at
        until = f"{ends.astimezone(current().settings.zone):%Y-%m-%d %H:%M}"
        return Told(f"{name}: trial until {until}", {"subscriptions": [{"user": name, "ends_at": ends}]})

    return carry_out(lambda app: trials.start(app, name), tell)
