"""`vpnctl web …`."""

from __future__ import annotations

import threading
from typing import Any

import typer

from vpnctl.cli.front import Front, current

commands = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="The web process: webhooks, links, API."
)


@commands.callback()
def _noun() -> None:
    """The web process: webhooks, links, API."""


@commands.command("run")
def run() -> int:
    """Serve webhooks, people's links, /metrics and the JSON API until SIGTERM or Ctrl-C.

    Needs the extra vpnctl-operator[web]. It listens on loopback unless web_listen says otherwise, and reaches no
    node: what is asked for is made by `vpnctl worker run`, the bot, or the next job.
    """
    from vpnctl import journal
    from vpnctl.web.run import run as serve

    front = current()
    log = journal.said if front.log_json else front.say
    return serve(front.app, log, threading.Event(), _telegram(front, log))


def _telegram(front: Front, log: Any) -> Any:
    if front.settings.telegram_updates != "webhook":
        return None
    from bot.intake import webhook

    return webhook(front.app, log)
