"""`vpnctl traffic …`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from vpnctl.cli import output
from vpnctl.cli.completion import complete_nodes, complete_users
from vpnctl.cli.front import current

commands = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Who moved how much.")


@commands.callback()
def _traffic() -> None:
    """Who moved how much."""


@commands.command("show")
def show(
    user: Annotated[
        str | None, typer.Option("--user", help="Only of this person.", autocompletion=complete_users)
    ] = None,
    node: Annotated[
        str | None, typer.Option("--node", help="Only through this node.", autocompletion=complete_nodes)
    ] = None,
    month: Annotated[
        str | None, typer.Option("--month", metavar="YYYY-MM", help="The days of this month; this one unless told.")
    ] = None,
    months: Annotated[int, typer.Option("--months", min=0, max=120, help="The last months instead of days.")] = 0,
    top: Annotated[str, typer.Option("--top", help="Who moved most in the month: user or node.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="With --top: at most this many.")] = 20,
    png: Annotated[Path | None, typer.Option("--png", metavar="FILE", help="Draw it as a picture.")] = None,
) -> int:
    """Show traffic by day, by month, or by who moved most. Received is what nodes got from devices.

    Days and months before the first traffic are left out, but for --json.
    """
    from vpnctl.cli.charts import bar, traffic_series, write_png
    from vpnctl.errors import InvalidInput
    from vpnctl.reports import traffic
    from vpnctl.rules.sizes import human_size
    from vpnctl.store import find

    front = current()
    if top not in ("", "user", "node"):
        raise InvalidInput("--top takes user or node", "vpnctl traffic show --top user")
    now = front.app.clock()
    first, last = _days(month, now)
    with front.app.store.read() as tx:
        user_id = find.user(tx, user).id if user else ""
        node_id = find.node(tx, node).id if node else ""
        rows: Sequence[traffic.Window | traffic.Share]
        if top:
            rows = traffic.shares(tx, f"{first:%Y-%m}", top, limit)
        elif months:
            rows = traffic.by_month(tx, now, months, user_id=user_id, node_id=node_id)
        else:
            rows = traffic.by_day(tx, first, last, user_id=user_id, node_id=node_id)
    key = "name" if top else "span"
    if png is not None:
        write_png(png, [getattr(row, key) for row in rows], traffic_series([row.total for row in rows]))
        front.say(f"wrote {png}")
    if not top:
        rows = output.since_first(front, rows, ("total",))
    if front.json or not sys.stdout.isatty():
        return output.show_list(front, rows, (key, "received", "sent", "total"))
    largest = max((row.total for row in rows), default=0)
    for row in rows:
        size = human_size(row.total)
        sys.stdout.write(f"{getattr(row, key):<12} {size:>10}  {bar(row.total, largest)}\n")
    return 0


def _days(month: str | None, now: datetime) -> tuple[date, date]:
    """Return the first and last day that are shown: of the month, up to today."""
    from datetime import timedelta

    from vpnctl.errors import InvalidInput
    from vpnctl.rules.grammar import clean
    from vpnctl.rules.months import first_day, month_of

    try:
        first = first_day(month or month_of(now))
    except ValueError:
        raise InvalidInput(f"'{clean(month or '')}' is not a month", "for example 2027-01") from None
    last = (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    return first, max(first, min(last, now.date()))
