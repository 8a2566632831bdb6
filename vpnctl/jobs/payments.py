"""Ask providers what became of orders: what webhooks lost, and all there is where nobody can call us."""

from __future__ import annotations

from collections import Counter

from vpnctl.actions.fleet.settle import settle
from vpnctl.actions.sales import checkout
from vpnctl.actions.sales.rounds import rounds
from vpnctl.app import App
from vpnctl.jobs import Mode, Report, Timer
from vpnctl.store import models
from vpnctl.store.buying_rows import Order

SUMMARY = "ask who takes payments what became of orders; serve what was paid"
TIMER = Timer(on_calendar="*:*:20", cron="* * * * *", every=60, jitter=5, limit=300)


def run(app: App, mode: Mode) -> Report:
    """Ask for what is due. An order that is paid is served in the same transaction; its nodes follow."""
    if mode.dry_run:
        with app.store.read() as tx:
            due = len(tx.all(Order, models.order.c.ask_at <= app.clock()))
        return Report("payments", 0, f"{due} orders would be asked about", {"due": due})
    done = []
    for each in rounds(app):  # what one part sold is served before the next one waits for somebody
        settle(app, sorted(each.node_ids))
        done.append(each)
    counts = sum((each.counts for each in done), Counter[str]())
    if counts["booked"]:
        checkout.work(app)
    what = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nothing to ask"
    troubles = [line for each in done for line in each.troubles]
    return Report("payments", 1 if troubles else 0, "; ".join([what, *troubles]), dict(counts))
