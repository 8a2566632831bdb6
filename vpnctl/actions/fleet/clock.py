"""Whether this machine's clock may cut people off: jobs note it, settling asks.

Before a job ever noted it, the database and the nodes are asked: what was recorded last, and what their clocks say.
"""

from __future__ import annotations

import socket

import sqlalchemy as sa

from vpnctl.app import CLOCK, App
from vpnctl.rules.clockjump import Tick, apart, beyond, jumped, tick
from vpnctl.store import models
from vpnctl.store.engine import Tx


def now(app: App) -> Tick:
    """Return one look at this machine's clocks."""
    return Tick(app.clock().timestamp(), *app.uptime())


def jump(app: App) -> str:
    """Return what is wrong with the clock since a job of this machine last noted it, or an empty text."""
    with app.store.read() as tx:
        last = tick(tx.meta(_name()))
        if last is not None:
            return jumped(last, now(app))
        return tx.meta(_doubt()) or beyond(_newest(tx), app.clock().timestamp(), forward=True)


def doubtful(app: App) -> bool:
    """Return whether this machine's clock jumped since a job noted it: what it says now is not to be acted upon."""
    return not unnoted(app) and bool(jump(app))


def unnoted(app: App) -> bool:
    """Return whether no job of this machine ever noted the clock: then each node's own is asked as well."""
    with app.store.read() as tx:
        return tx.meta(_name()) is None


def against(app: App, node: str, seconds: int) -> str:
    """Return what is wrong when a node's clock (Unix seconds) is compared with ours, or an empty text.

    It is noted either way: what was recorded under a wrong clock must not vouch for it afterwards.
    """
    why = apart(node, seconds, app.clock().timestamp())
    with app.store.read() as tx:
        known = tx.meta(_doubt()) or ""
    if not why:
        note(app)  # a machine other than ours vouches for it
    elif why != known:
        with app.store.write() as tx:
            tx.set_meta(_doubt(), why)
    return why


def backward(app: App) -> str:
    """Return what is wrong when the database knows of something later than now, or an empty text."""
    with app.store.read() as tx:
        return beyond(_newest(tx), app.clock().timestamp(), forward=False)


def note(app: App) -> None:
    """Note the clock as it is: from now on it is the one to compare with."""
    with app.store.write() as tx:
        tx.set_meta(_name(), now(app).text())
        tx.set_meta(_doubt(), "")


def _doubt() -> str:
    return f"doubt:{_name()}"[:40]


def _newest(tx: Tx) -> float | None:
    """Return when anything was recorded last, Unix seconds."""
    columns = (models.event.c.recorded_at, models.job_run.c.started_at, models.node.c.seen_at)
    found = [tx.execute(sa.select(sa.func.max(column))).scalar() for column in columns]
    return max((each.timestamp() for each in found if each is not None), default=None)


def _name() -> str:
    """Machines that share a database have clocks of their own."""
    return f"{CLOCK}:{socket.gethostname()}"[:40]
