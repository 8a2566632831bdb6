"""Write the service's figures as a Prometheus textfile, as node_exporter's textfile collector reads it."""

from __future__ import annotations

import os
from pathlib import Path

from vpnctl.app import App
from vpnctl.errors import StateTrouble
from vpnctl.jobs import NAMES, Mode, Report, Timer
from vpnctl.reports import figures

SUMMARY = "write figures for Prometheus"
TIMER = Timer(on_calendar="*:*:40", cron="* * * * *", every=60, jitter=5, limit=50)


def run(app: App, mode: Mode) -> Report:
    """Write the file at once and whole: beside it first, then renamed. No secret is in it."""
    with app.store.read() as tx:
        text = figures.exposition(tx, app.clock(), NAMES)
    path = Path(app.settings.metrics_file or app.settings.state_dir / "metrics.prom")
    lines = text.count(b"\n")
    if mode.dry_run:
        return Report("metrics", 0, f"{lines} lines for {path}", {"lines": lines})
    bits = 0o644 if app.settings.metrics_file else 0o600  # where it was told to go, another program is to read it
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, bits)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, bits)
            file.write(text)
        fresh.rename(path)
    except OSError as error:
        raise StateTrouble(
            f"cannot write {path}: {error.strerror}", "set metrics_file to a place we may write"
        ) from None
    return Report("metrics", 0, f"wrote {lines} lines to {path}", {"lines": lines, "path": str(path)})
