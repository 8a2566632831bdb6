"""`vpnctl plan …`."""

from __future__ import annotations

from typing import Annotated

import typer

from vpnctl.cli import output
from vpnctl.cli.completion import complete_plans
from vpnctl.cli.front import current

commands = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Tariffs: seeded by `inventory apply`."
)
COLUMNS = (
    "name",
    "title",
    "days",
    "devices",
    "traffic",
    "traffic_period",
    "node_traffic",
    "locations",
    "protocol",
    "prices",
    "trial",
    "on_sale",
    "active",
)


@commands.command("list")
def list_() -> int:
    """List the plans, and how many people use each now."""
    from vpnctl.reports import tariffs

    front = current()
    with front.app.store.read() as tx:
        rows = tariffs.plans(tx, front.app.clock())
    if not rows:
        front.say("no plans yet; write them as inventory/example-plans.yaml shows, then: vpnctl inventory apply FILE")
    return output.show_list(front, rows, COLUMNS)


@commands.command("show")
def show(name: Annotated[str, typer.Argument(metavar="PLAN", help="Plan name.", autocompletion=complete_plans)]) -> int:
    """Show one plan."""
    from vpnctl.actions.sales import plans
    from vpnctl.reports import tariffs

    front = current()
    with front.app.store.read() as tx:
        row = plans.named(tx, name)
        return output.show_one(front, tariffs.plans(tx, front.app.clock(), name=row.name)[0])


@commands.command("price")
def price(
    name: Annotated[str, typer.Argument(metavar="PLAN", help="Plan name.", autocompletion=complete_plans)],
    prices: Annotated[
        list[str],
        typer.Argument(metavar="CURRENCY=AMOUNT…", help="Such as EUR=4.99 XTR=250; `EUR=` takes a price away."),
    ],
) -> int:
    """Set what a plan costs from now on. What was ordered keeps the price that was told."""
    from vpnctl.actions.sales import plans
    from vpnctl.rules import money

    front = current()
    row = plans.set_prices(front.app, name, prices)
    told = ", ".join(money.written(amount, code) for code, amount in sorted(row.prices.items())) or "no price"
    return output.finish(front, [], f"{row.name}: {told}", plan=row.name, prices=row.prices)
