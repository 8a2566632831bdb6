"""`vpnctl bus …`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from vpnctl.cli import output
from vpnctl.cli.front import current

if TYPE_CHECKING:
    from vpnctl.bus.connection import Bus

commands = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="NATS JetStream: setup, show."
)
COLUMNS = ("name", "subjects", "messages", "bytes", "state")


@commands.command("setup")
def setup(
    mirror: Annotated[
        str | None,
        typer.Option("--mirror", metavar="DOMAIN", help="Keep a copy of the events of the server of this domain."),
    ] = None,
) -> int:
    """Make the streams on NATS as they should be; run again, it changes only what differs."""
    from vpnctl.bus import streams
    from vpnctl.rules.grammar import name

    front = current()
    with _bus() as bus:
        if mirror is None:
            views = streams.declare(bus, front.settings)
        else:
            views = streams.mirror(bus, front.settings, name(mirror, "domain"))
    return output.show_list(front, views, COLUMNS)


@commands.command("show")
def show() -> int:
    """Show the streams, and how many events the bus has not got yet."""
    from vpnctl.bus import publishing, streams

    front = current()
    with front.app.store.read() as tx:
        late = publishing.behind(tx)
    with _bus() as bus:
        views = streams.shown(bus, front.settings)
    front.say(f"events that the bus has not got yet: {late}")
    return output.show_list(front, views, COLUMNS)


@contextlib.contextmanager
def _bus() -> Iterator[Bus]:
    from vpnctl.bus.connection import Bus

    with contextlib.closing(Bus(current().settings)) as opened:
        yield opened
