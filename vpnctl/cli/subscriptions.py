"""`vpnctl subscription …`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vpnctl.cli import output
from vpnctl.cli.carry import Told, carry_out
from vpnctl.cli.completion import complete_plans, complete_states, complete_users
from vpnctl.cli.front import current
from vpnctl.cli.many import Listed, Where, carry_out_for_many, meant

if TYPE_CHECKING:
    from vpnctl.actions.outcome import Done, Settled
    from vpnctl.actions.sales.subscriptions import Cancelled, Granted
    from vpnctl.app import App

commands = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Access by time: grant, extend, cancel."
)
Name = Annotated[str, typer.Argument(metavar="USER", help="User name.", autocompletion=complete_users)]
Paid = Annotated[
    str | None,
    typer.Option("--paid", metavar="REF", help="It was paid: the payment's reference. Converts a running trial."),
]
MaybeName = Annotated[str | None, typer.Argument(metavar="[USER]", help="User name.", autocompletion=complete_users)]
Currency = Annotated[
    str | None,
    typer.Option("--currency", metavar="CODE", help="Of the payment; needed where the plan has several prices."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]
COLUMNS = ("user", "plan", "state", "ends_at", "starts_at", "source", "devices", "traffic", "payment")


@commands.command("grant")
def grant(
    plan: Annotated[str, typer.Option("--plan", metavar="PLAN", help="Which plan.", autocompletion=complete_plans)],
    name: MaybeName = None,
    paid: Paid = None,
    currency: Currency = None,
    queue: Annotated[bool, typer.Option("--queue", help="Behind what runs, even if the plan is a bigger one.")] = False,
    where: Where = None,
    listed: Listed = None,
    dry_run: DryRun = False,
) -> int:
    """Grant a plan: from now, or behind what the person has already. To one, or to many as a gift.

    A bigger plan than the one that runs takes effect now; the unused days of that one follow behind it. A trial runs
    to its end first, unless --paid says that it was paid.
    """
    from vpnctl.actions.sales import subscriptions
    from vpnctl.actions.sales.paid import payment

    paying = payment(paid, currency)

    def verb(app: App, whom: str) -> Granted:
        return subscriptions.grant(app, whom, plan, paid=paying, queue=queue)

    return _give_to(name, where, listed, verb, f"granted {plan}", paid=paid, dry_run=dry_run)


@commands.command("extend")
def extend(
    name: MaybeName = None,
    plan: Annotated[
        str | None,
        typer.Option("--plan", metavar="PLAN", help="Another plan than what runs.", autocompletion=complete_plans),
    ] = None,
    days: Annotated[
        int | None, typer.Option("--days", metavar="N", help="This many days instead of the plan's.")
    ] = None,
    paid: Paid = None,
    currency: Currency = None,
    where: Where = None,
    listed: Listed = None,
    dry_run: DryRun = False,
) -> int:
    """Add a further period: from now, or from the end of the last one if that is later. For one person, or for many."""
    from vpnctl.actions.sales import subscriptions
    from vpnctl.actions.sales.paid import payment

    paying = payment(paid, currency)

    def verb(app: App, whom: str) -> Granted:
        return subscriptions.extend(app, whom, plan=plan, days=days, paid=paying)

    return _give_to(name, where, listed, verb, "extended", paid=paid, dry_run=dry_run)


def _give_to(
    name: str | None,
    where: str | None,
    listed: Path | None,
    verb: Callable[[App, str], Granted],
    what: str,
    *,
    paid: str | None,
    dry_run: bool,
) -> int:
    """Give to one person, or to many; a payment is one person's."""
    from vpnctl.errors import InvalidInput

    names = meant(name, where, listed, devices=False)
    if name is not None:
        return _give(lambda app: verb(app, name), dry_run)
    if paid is not None:
        raise InvalidInput("one payment is one person's", "leave --paid out, or name the person")
    return carry_out_for_many(names, verb, what, "person", dry_run=dry_run)


def _give(verb: Callable[[App], Granted], dry_run: bool) -> int:
    front = current()

    def foretell(would: Granted) -> None:
        front.say(f"would be: {_told(would)}")
        _say_kept(would)

    def tell(granted: Granted, _: Sequence[Settled]) -> Told:
        if granted.was_unlimited:
            front.say(f"note: {granted.user.name} was unlimited; access is by subscription from now on")
        _say_outside(granted)
        _say_kept(granted)
        return Told(_told(granted), {"subscriptions": _views(granted.user.name)}, saved=_told(granted))

    return carry_out(verb, tell, dry_run=dry_run, foretell=foretell)


def _told(granted: Granted) -> str:
    """Say from when until when."""
    row, front = granted.subscription, current()
    zone = front.settings.zone
    begins = "now" if row.starts_at <= front.app.clock() else f"{row.starts_at.astimezone(zone):%Y-%m-%d %H:%M}"
    return f"{granted.user.name}: {row.plan} from {begins} until {row.ends_at.astimezone(zone):%Y-%m-%d %H:%M}"


def _say_kept(granted: Granted) -> None:
    if granted.kept is not None:
        current().say(f"note: behind it: {granted.kept.days_left} of {granted.kept.plan}")


def _say_outside(granted: Granted) -> None:
    """A device stays where it is, also where its new plan is for other locations: that is said."""
    from vpnctl.reports import mine

    front = current()
    with front.app.store.read() as tx:
        rows = mine.outside(tx, front.app.clock(), granted.user, granted.subscription.locations)
    places = ", ".join(granted.subscription.locations)
    for row in rows:
        front.say(f"note: {row.user}/{row.device} stays on {row.node}, but the plan is for {places} only. To move it:")
        front.say(f"    vpnctl user migrate {row.user} --device {row.device} --to NODE")


def _views(name: str) -> list[Any]:
    from vpnctl.reports import tariffs

    front = current()
    soon = timedelta(hours=front.settings.expiring_soon_hours)
    with front.app.store.read() as tx:
        return list(tariffs.subscriptions(tx, front.app.clock(), soon, tariffs.SubscriptionFilter(user=name)))


@commands.command("cancel")
def cancel(name: Name, dry_run: DryRun = False) -> int:
    """End a person's access now, and all periods to come. Devices keep key and address."""
    from vpnctl.actions.sales import subscriptions

    front = current()
    if not dry_run and any(row.ends_at > front.app.clock() and not row.cancelled_at for row in _views(name)):
        front.confirm(f"End the subscription of {name} now?")

    def tell(done: Done[Cancelled], _: Sequence[Settled]) -> Told:
        user = done.made.user
        what = f"{user.name}: {output.count(done.made.periods, 'period')} cancelled"
        what += (
            "; access stays: unlimited" if user.unlimited else "; checked: no device of theirs is on a node any more"
        )
        return Told(what, {"subscriptions": _views(user.name)})

    return carry_out(lambda app: subscriptions.cancel(app, name), tell, dry_run=dry_run)


@commands.command("list")
def list_(
    user: Annotated[
        str | None, typer.Option("--user", help="Only of this person.", autocompletion=complete_users)
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            help="Only in this state: scheduled, active (all that run), expiring_soon, extended, expired, cancelled, "
            "converted.",
            autocompletion=complete_states,
        ),
    ] = None,
    ending: Annotated[
        int | None, typer.Option("--ending", metavar="HOURS", min=1, max=100_000, help="Only those that end within.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, max=1_000_000, help="At most this many; 0 for all.")] = 200,
) -> int:
    """List granted periods with their states, those that end first first."""
    from vpnctl.errors import InvalidInput
    from vpnctl.reports import tariffs
    from vpnctl.rules.grammar import clean
    from vpnctl.rules.lifecycle import State

    front = current()
    known = [str(each) for each in State]
    for each in state or []:
        if each not in known:
            raise InvalidInput(f"'{clean(each)}' is not a state", f"one of: {', '.join(known)}")
    soon = timedelta(hours=front.settings.expiring_soon_hours)
    within = timedelta(hours=ending) if ending else None
    with front.app.store.read() as tx:
        if user is not None:
            from vpnctl.store import find

            find.user(tx, user)
        wanted = tariffs.SubscriptionFilter(user=user, states=state or (), ending=within)
        rows = tariffs.subscriptions(tx, front.app.clock(), soon, wanted, limit=limit)
    if not rows:
        front.say(
            "none of these; all: vpnctl subscription list"
            if user or state or ending
            else "none; vpnctl subscription grant USER --plan PLAN"
        )
    return output.show_list(front, rows, COLUMNS)


@commands.command("stats")
def stats(
    months: Annotated[int, typer.Option("--months", min=1, max=60, help="How many months back.")] = 12,
    png: Annotated[Path | None, typer.Option("--png", metavar="FILE", help="Draw them as a picture.")] = None,
) -> int:
    """Show the business month by month: active, new, ended, trials, revenue, traffic."""
    from vpnctl.cli.charts import traffic_series, write_png
    from vpnctl.reports import business

    front = current()
    with front.app.store.read() as tx:
        rows = business.months(tx, front.app.clock(), months)
    if png is not None:
        labels = [row.month for row in rows]
        series: dict[str, list[float]] = {
            "active subscriptions": [float(row.active) for row in rows],
            **traffic_series([row.traffic for row in rows]),
        }
        write_png(png, labels, series | business.revenue_series(rows))
        front.say(f"wrote {png}")
    return output.show_list(front, output.since_first(front, rows, business.COLUMNS[1:]), business.COLUMNS)
