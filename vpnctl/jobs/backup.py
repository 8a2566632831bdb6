"""Write a backup, open and compare it, bring it to its targets, and remove what is too old."""

from __future__ import annotations

from vpnctl.actions.service import backups, keeping
from vpnctl.actions.talk import alerts
from vpnctl.app import App
from vpnctl.errors import NodeFailed
from vpnctl.jobs import Mode, Report, Timer
from vpnctl.store import outbox
from vpnctl.store.vault import NIL

SUMMARY = "write a backup, compare it, keep 7 days, 4 weeks, 12 months"
TIMER = Timer(on_calendar="*-*-* 02:37:00", cron="37 2 * * *", every=86400, jitter=900, limit=3600)


def run(app: App, mode: Mode) -> Report:
    """A target that fails makes the run fail, after all else was done, and is told."""
    folder = backups.folder(app.settings)
    if mode.dry_run:
        doomed = keeping.old(app, (path.name for path in folder.glob(f"*{backups.SUFFIX}")))
        return Report("backup", 0, f"would write to {folder} and remove {len(doomed)}", {"removed": doomed})
    made = backups.create(app)
    kept = keeping.keep(app, made)
    if kept.troubles:
        what = "; ".join(kept.troubles)
        with app.store.write() as tx:
            details = {"what": f"backup {made.file} is here, but not everywhere: {what}", "node": "vpnctl"}
            message = alerts.technical(app, "resource", NIL, f"backup:{app.clock():%Y%m%d}", details)
            outbox.enqueue(tx, message, app.clock())
        raise NodeFailed(f"{made.file} was written to {folder}, but: {what}", "vpnctl jobs run backup")
    detail = {"file": made.file, "size": made.size, "places": list(kept.places), "removed": kept.removed}
    return Report("backup", 0, f"{made.file} written and compared, {kept.removed} old ones removed", detail)
