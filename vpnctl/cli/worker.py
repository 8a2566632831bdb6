"""`vpnctl worker …`."""

from __future__ import annotations

import signal
import threading

import typer

from vpnctl.cli.front import current

commands = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="What settles nodes and sends messages."
)


@commands.command("run")
def run() -> int:
    """Settle nodes as soon as something changed, and send what waits, until SIGTERM or Ctrl-C.

    For services whose changes come from several programs. The bot starts a worker of its own; timers do the same
    work every few minutes.
    """
    from vpnctl import journal
    from vpnctl.worker.worker import run as work

    front = current()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return work(front.app, journal.said if front.log_json else front.say, stop)


@commands.command("child", hidden=True)
def child() -> int:
    """Settle nodes and send messages as stdin asks. `bot run` starts it, so that presses do not wait for that."""
    from vpnctl.worker.child import serve

    return serve(current().app)
