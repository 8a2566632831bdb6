"""Send the outbox."""

from __future__ import annotations

from vpnctl.actions.talk import delivery
from vpnctl.app import App
from vpnctl.jobs import Mode, Report, Timer
from vpnctl.reports import notices

SUMMARY = "send waiting messages by Telegram"
TIMER = Timer(on_calendar="*:*:20", cron="* * * * *", every=60, jitter=5, limit=120)


def run(app: App, mode: Mode) -> Report:
    """Send what waits; without a bot token nothing is sent, and that is said."""
    with app.store.read() as tx:
        waiting = notices.waiting(tx)
    if mode.dry_run:
        return Report("notify", 0, f"{waiting} messages wait", {"waiting": waiting})
    if not app.settings.bot_token.reveal():
        hint = "; set bot_token to send them" if waiting else ""
        return Report("notify", 0, f"{waiting} messages wait{hint}", {"waiting": waiting})
    counts = delivery.deliver(app)
    told = ", ".join(f"{count} {fate}" for fate, count in sorted(counts.items())) or "nothing to send"
    return Report("notify", 0, told, {"fates": dict(counts)})
