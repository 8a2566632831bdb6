"""The switch that silences the bot: nobody gets in, no button acts, no config leaves."""

from __future__ import annotations

from vpnctl.actions.outcome import stamp
from vpnctl.app import App
from vpnctl.store import events
from vpnctl.store.engine import Tx
from vpnctl.store.vault import NIL

_NAME = "bot_lockdown"


def since(tx: Tx) -> str:
    """Return since when (RFC 3339) the bot is locked; empty when it is not."""
    return tx.meta(_NAME) or ""


def lock(app: App) -> None:
    """Silence the bot; what it is doing this moment it finishes."""
    _set(app, app.clock().isoformat(timespec="seconds"), "bot.lockdown")


def unlock(app: App) -> None:
    """Let the bot speak again. Updates that came meanwhile were answered with a refusal."""
    _set(app, "", "bot.unlock")


def _set(app: App, value: str, verb: str) -> None:
    with app.store.write() as tx:
        if bool(since(tx)) != bool(value):
            tx.set_meta(_NAME, value)
            events.record(tx, stamp(app), verb, ("service", NIL, "bot"))
