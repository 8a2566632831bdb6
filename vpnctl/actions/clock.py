"""Whether this machine's clock may cut people off: jobs note it, settling asks."""

from __future__ import annotations

import socket

from vpnctl.app import CLOCK, App
from vpnctl.rules.clockjump import Tick, jumped, tick


def now(app: App) -> Tick:
    """Return one look at this machine's clocks."""
    return Tick(app.clock().timestamp(), *app.uptime())


def jump(app: App) -> str:
    """Return what is wrong with the clock since a job of this machine last noted it, or an empty text."""
    with app.store.read() as tx:
        last = tick(tx.meta(_name()))
    return jumped(last, now(app))


def note(app: App) -> None:
    """Note the clock as it is: from now on it is the one to compare with."""
    with app.store.write() as tx:
        tx.set_meta(_name(), now(app).text())


def _name() -> str:
    """Machines that share a database have clocks of their own."""
    return f"{CLOCK}:{socket.gethostname()}"[:40]
