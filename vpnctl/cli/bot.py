"""`vpnctl bot …`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import typer

from vpnctl.cli import output
from vpnctl.cli.front import current

commands = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="The Telegram bot.")


@dataclass(frozen=True)
class BotView:
    """The bot on one page."""

    name: str
    locked_since: datetime | None
    locked_until: datetime | None
    lock_reason: str
    updates_waiting: int
    messages_waiting: int
    people_waiting: int
    requests_waiting: int


@commands.command("run")
def run(
    drop_webhook: Annotated[
        bool, typer.Option("--drop-webhook", help="Take the updates from a webhook that is set.")
    ] = False,
) -> int:
    """Serve the bot by long polling until SIGTERM or Ctrl-C. Needs the extra vpnctl[bot] and the setting bot_token."""
    from bot.run import run as serve
    from vpnctl import journal

    front = current()
    log = journal.said if front.log_json else front.say
    options = ["--log-format", "json" if front.log_json else "text", *(["--quiet"] if front.quiet else [])]
    options += ["--config", str(front.config)] if front.config else []
    child = (sys.executable, "-P", "-m", "vpnctl", *options, "worker", "child")
    return serve(front.app, log, drop_webhook=drop_webhook, child=child)


@commands.command("lockdown")
def lockdown(
    reason: Annotated[str, typer.Option("--reason", help="What people are told of why.")] = "",
    hours: Annotated[
        int | None, typer.Option("--hours", min=1, max=720, help="Open again by itself after so many hours.")
    ] = None,
) -> int:
    """Silence the bot at once: nobody gets in, no button acts, no config leaves. Devices stay connected."""
    from vpnctl.actions.talk import lockdown
    from vpnctl.rules import grammar

    front = current()
    until = front.app.clock() + timedelta(hours=hours) if hours else None
    lockdown.lock(front.app, grammar.message(reason, 200) if reason else "", until)
    return output.finish(front, [], "the bot is locked; open it again with: vpnctl bot unlock")


@commands.command("unlock")
def unlock() -> int:
    """Let the bot speak again."""
    from vpnctl.actions.talk import lockdown

    front = current()
    lockdown.unlock(front.app)
    return output.finish(front, [], "the bot is open")


@commands.command("show")
def show() -> int:
    """Show the bot's state: its name, the lock, what waits."""
    from vpnctl.actions.people import invites
    from vpnctl.actions.talk import updates
    from vpnctl.reports import asking, notices, people
    from vpnctl.store import lockdown

    front = current()
    with front.app.store.read() as tx:
        held = lockdown.current(tx, front.app.clock())
        view = BotView(
            name=invites.bot_name(tx),
            locked_since=held.since if held else None,
            locked_until=held.until if held else None,
            lock_reason=held.reason if held else "",
            updates_waiting=updates.waiting(tx),
            messages_waiting=notices.waiting(tx),
            people_waiting=len(people.waiting(tx)),
            requests_waiting=len(asking.requests(tx, limit=100_000)),
        )
    return output.show_one(front, view)
