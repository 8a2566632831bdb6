"""The switch that silences the bot: nobody gets in, no button acts, no config leaves."""

from __future__ import annotations

from datetime import datetime

from vpnctl.actions.outcome import stamp
from vpnctl.app import App
from vpnctl.store import events
from vpnctl.store.lockdown import Lock, current, keep
from vpnctl.store.vault import NIL


def lock(app: App, reason: str = "", until: datetime | None = None) -> None:
    """Silence the bot, or change the reason and the end; what it is doing this moment it finishes."""
    with app.store.write() as tx:
        held = current(tx, app.clock())
        keep(tx, Lock(held.since if held else app.clock().replace(microsecond=0), until, reason))
        told = {"reason": reason, "until": until.isoformat(timespec="seconds") if until else ""}
        events.record(tx, stamp(app), "bot.lockdown", ("service", NIL, "bot"), None, told)


def unlock(app: App) -> None:
    """Let the bot speak again. Updates that came meanwhile were answered with a refusal."""
    with app.store.write() as tx:
        held = current(tx, app.clock())
        keep(tx, None)
        if held is not None:
            events.record(tx, stamp(app), "bot.unlock", ("service", NIL, "bot"))
