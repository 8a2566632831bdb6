"""`vpnctl worker …`."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from vpnctl.cli import output
from vpnctl.cli.front import current

commands = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="What settles nodes and sends messages."
)


@commands.command("run")
def run(
    jobs: Annotated[bool, typer.Option("--jobs", help="Run the jobs too; then no timers are needed.")] = False,
) -> int:
    """Settle nodes as soon as something changed, and send what waits, until SIGTERM or Ctrl-C.

    For services whose changes come from several programs. The bot starts a worker of its own; timers do the same
    work every few minutes. Several may run, on several machines where the database is PostgreSQL: they share the work.
    """
    from vpnctl import journal
    from vpnctl.worker.worker import run as work

    front = current()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return work(front.app, journal.said if front.log_json else front.say, stop, jobs=jobs)


@commands.command("list")
def list_(
    stopped: Annotated[bool, typer.Option("--stopped", help="Those too that stopped in the last two days.")] = False,
) -> int:
    """List the workers, and when each was last heard of."""
    from vpnctl.reports import workers

    front = current()
    with front.app.store.read() as tx:
        rows = workers.workers(tx, front.app.clock(), stopped=stopped)
    if not rows:
        front.say("no worker runs; vpnctl worker run")
    return output.show_list(front, rows, ("host", "pid", "state", "started_at", "seen_at", "settled", "connections"))


@commands.command("child", hidden=True)
def child() -> int:
    """Settle nodes and send messages as stdin asks. `bot run` starts it, so that presses do not wait for that."""
    from vpnctl.worker.child import serve

    return serve(current().app)
