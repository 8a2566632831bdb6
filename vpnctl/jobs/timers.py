"""Texts for systemd and cron that run the jobs. Pure."""

from __future__ import annotations

import shlex
from pathlib import Path

from vpnctl.jobs import NAMES, Timer, module

ALERT, BOT = "vpnctl-alert@.service", "vpnctl-bot.service"


def units(program: str, config: Path, user: str, *, bot: bool = False) -> dict[str, str]:
    """Return file name -> text of a service and a timer per job, of what a failed one starts, and of the bot."""
    found = {ALERT: _alert(program, config, user)} | ({BOT: _bot(program, config, user)} if bot else {})
    for name in NAMES:
        timer: Timer = module(name).TIMER
        found[f"vpnctl-{name}.service"] = _service(name, timer, program, config, user)
        found[f"vpnctl-{name}.timer"] = _timer(name, timer)
    return found


def crontab(program: str, config: Path | None) -> str:
    """Return crontab lines for hosts without systemd. A failed run tells the admins; what is missed is caught up."""
    where = ["--config", str(config)] if config is not None else []
    lines = ["# vpnctl jobs; a run that is missed is caught up by the next one"]
    for name in NAMES:
        timer: Timer = module(name).TIMER
        base = [program, "--quiet", *where, "jobs"]
        command = shlex.join(["timeout", str(timer.limit), *base, "run", name])
        lines.append(f"{timer.cron} {command} || {shlex.join([*base, 'failed', name])}".replace("%", r"\%"))
    return "\n".join(lines) + "\n"


def _service(name: str, timer: Timer, program: str, config: Path, user: str) -> str:
    """No sandbox: where this machine is a node itself, the job writes to /etc and may need sudo."""
    return f"""\
# Written by `vpnctl jobs install`.
[Unit]
Description=vpnctl job {name}
Wants=network-online.target
After=network-online.target
OnFailure=vpnctl-alert@{name}.service

[Service]
Type=oneshot
User={user}
ExecStart={_exec(program, config, "run", name)}
TimeoutStartSec={timer.limit}
UMask=0077
"""


def _bot(program: str, config: Path, user: str) -> str:
    """Started again whatever ends it, as often as it takes; not with a wrong token or a webhook: those alert."""
    return f"""\
# Written by `vpnctl jobs install --bot`.
[Unit]
Description=vpnctl Telegram bot
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0
OnFailure=vpnctl-alert@bot.service

[Service]
User={user}
ExecStart={_command(program, config)} bot run
Restart=always
RestartSec=15
RestartPreventExitStatus=2 5
TimeoutStopSec=150
UMask=0077

[Install]
WantedBy=multi-user.target
"""


def _alert(program: str, config: Path, user: str) -> str:
    return f"""\
# Written by `vpnctl jobs install`.
[Unit]
Description=tell the admins that the vpnctl job %i failed

[Service]
Type=oneshot
User={user}
ExecStart={_exec(program, config, "failed", "%i")}
TimeoutStartSec=60
UMask=0077
"""


def _exec(program: str, config: Path, verb: str, name: str) -> str:
    return f"{_command(program, config)} jobs {verb} {name}"


def _command(program: str, config: Path) -> str:
    """systemd splits at spaces and expands % and $ in a command line: paths are quoted for it."""
    paths = (str(each).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") for each in (program, config))
    quoted, where = (f'"{each}"' if " " in each else each for each in paths)
    return f"{quoted} --quiet --log-format json --config {where}"


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
