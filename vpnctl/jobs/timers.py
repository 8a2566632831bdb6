"""Texts for systemd and cron that run the jobs. Pure."""

from __future__ import annotations

import shlex
from pathlib import Path

from vpnctl.jobs import NAMES, Timer, module


def units(program: str, config: Path, user: str) -> dict[str, str]:
    """Return file name -> text of a service and a timer per job. The config path is absolute."""
    found = {}
    for name in NAMES:
        timer: Timer = module(name).TIMER
        found[f"vpnctl-{name}.service"] = _service(name, timer, program, config, user)
        found[f"vpnctl-{name}.timer"] = _timer(name, timer)
    return found


def crontab(program: str, config: Path) -> str:
    """Return crontab lines for hosts without systemd."""
    lines = ["# vpnctl jobs; a run that is missed is caught up by the next one"]
    for name in NAMES:
        timer: Timer = module(name).TIMER
        command = shlex.join(
            ["timeout", str(timer.limit), program, "--quiet", "--config", str(config), "jobs", "run", name]
        )
        lines.append(f"{timer.cron} {command}".replace("%", r"\%"))
    return "\n".join(lines) + "\n"


def _service(name: str, timer: Timer, program: str, config: Path, user: str) -> str:
    """No sandbox: where this machine is a node itself, the job writes to /etc and may need sudo."""
    return f"""\
# Written by `vpnctl jobs install`.
[Unit]
Description=vpnctl job {name}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
User={user}
ExecStart={program} --quiet --config {config} jobs run {name}
TimeoutStartSec={timer.limit}
UMask=0077
"""


def _timer(name: str, timer: Timer) -> str:
    return f"""\
# Written by `vpnctl jobs install`.
[Unit]
Description=vpnctl job {name}, on time

[Timer]
OnCalendar={timer.on_calendar}
Persistent=true
RandomizedDelaySec={timer.jitter}
AccuracySec=1s

[Install]
WantedBy=timers.target
"""
