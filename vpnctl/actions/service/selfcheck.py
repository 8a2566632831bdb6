"""Whether the service itself is at work: jobs, timers, bot, recovery key, disk, clock, names that clients dial.

`status` leads with what is found here: with timers disabled nobody expires, whatever the nodes look like.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from vpnctl import app as names
from vpnctl import filelock
from vpnctl.actions.fleet import clock
from vpnctl.actions.service.backups import VERIFIED
from vpnctl.app import SSH_KEY, App
from vpnctl.errors import StateTrouble
from vpnctl.remote.names import addresses
from vpnctl.reports.status import Attention
from vpnctl.rules import grammar
from vpnctl.store import models, restored
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Node
from vpnctl.store.vault import NIL

SYSTEMD = Path("/run/systemd/system")
UNITS = Path("/etc/systemd/system")
LEAST_FREE = 256 * 1024 * 1024
"""Bytes; with less the database may soon not grow."""
ESSENTIAL = {"sync": 300, "expire": 600, "usage": 300, "health": 60}
"""Jobs without which the service does not do what it says, and how often each runs (seconds); a test compares them."""
OLD_BACKUP = timedelta(days=3)
LATE = 5
"""A job that has not run for so many times its pace is not running."""
_NAMES_SECONDS = 1.0


def findings(app: App) -> list[Attention]:
    """Return what is wrong with the service itself, the worst first."""
    now = app.clock()
    with app.store.read() as tx:
        last = _last_runs(tx)
        found = [*_jobs(last, now), *_recovery(tx), *_backups(tx, now)]
        nodes = tx.all(Node, models.node.c.retired_at.is_(None), order=models.node.c.name)
        found += _chats(tx, app)
        bot_used = tx.execute(sa.select(models.inbox.c.seq).limit(1)).first() is not None
    found = [*_keys(app), *_timers(bool(nodes)), *_bot(app, used=bot_used), *found]
    found += [*_clock(app), *_disk(app), *_names(nodes)]
    return found


def _keys(app: App) -> Iterator[Attention]:
    """A key file that is not this database's: reading works, and no change will. A missing one is told elsewhere."""
    with app.store.read() as tx:
        sealed = tx.meta(SSH_KEY)
    if sealed is None or not app.settings.key_file.exists():
        return
    try:
        app.vault.open("meta.ssh_key", NIL, sealed)
    except StateTrouble as error:
        yield Attention("key file", f"nothing can be changed: {error.what}", error.hint or "vpnctl doctor")


def _last_runs(tx: Tx) -> dict[str, datetime]:
    table = models.job_run.c
    query = sa.select(table.job, sa.func.max(table.started_at)).group_by(table.job)
    return {job: at for job, at in tx.execute(query)}  # noqa: C416 - rows are not pairs to mypy


def _jobs(last: dict[str, datetime], now: datetime) -> Iterator[Attention]:
    """Jobs that never ran on this database, or not for a while: whoever should start them does not."""
    never = [job for job in ESSENTIAL if job not in last]
    if never:
        yield Attention("jobs", f"never run here: {', '.join(never)}{_so(never)}", "vpnctl jobs install")
    late = {job: last[job] for job, every in ESSENTIAL.items() if job in last and _late(last[job], every, now)}
    if late:
        hint = "systemctl list-timers 'vpnctl-*' (or crontab -l) shows who starts them; vpnctl jobs install"
        yield Attention("jobs", f"not run lately: {', '.join(late)}{_so([*late])}", hint, min(late.values()))


def _so(jobs: list[str]) -> str:
    """What follows when these do not run."""
    return "; nobody expires by itself" if "expire" in jobs else ""


def _late(last: datetime, every: int, now: datetime) -> bool:
    return now - last > max(timedelta(seconds=every * LATE), timedelta(minutes=10))


def _timers(served: bool) -> Iterator[Attention]:
    """Timers that are installed but switched off or failed; without systemd there is nothing to ask."""
    there = sorted(path.name for path in UNITS.glob("vpnctl-*.timer"))
    if not served or not SYSTEMD.is_dir() or not there:
        return
    states = unit_states(there)
    off = [name for name in there if states.get(name, {}).get("ActiveState") != "active"]
    if off and states:
        listed = ", ".join(name.removeprefix("vpnctl-").removesuffix(".timer") for name in off)
        yield Attention("timers", f"off: {listed}; nobody expires by itself", f"systemctl enable --now {' '.join(off)}")


def _bot(app: App, *, used: bool) -> Iterator[Attention]:
    """A bot that should run and does not, or does not stay up."""
    unit = "vpnctl-bot.service"
    if SYSTEMD.is_dir() and (UNITS / unit).exists():
        state = unit_states([unit]).get(unit, {})
        if state and state.get("ActiveState") != "active":
            what = "keeps restarting" if state.get("SubState") == "auto-restart" else "does not run"
            yield Attention("bot", what, f"journalctl -u {unit} -n 30")
    elif used and app.settings.bot_token.reveal() and not filelock.is_held(app.settings.state_dir / "locks" / "bot"):
        yield Attention("bot", "does not run", "vpnctl jobs install --bot")


def unit_states(units: list[str]) -> dict[str, dict[str, str]]:
    """Return what systemd says of units: name -> property -> value; empty when it does not answer."""
    wanted = ("Id", "ActiveState", "SubState", "UnitFileState")
    try:
        said = subprocess.run(
            ["/usr/bin/systemctl", "show", *units, *(f"--property={each}" for each in wanted)],
            capture_output=True, text=True, check=False, timeout=5,
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return {}
    blocks = (dict(line.split("=", 1) for line in part.splitlines() if "=" in line) for part in said.split("\n\n"))
    return {block["Id"]: block for block in blocks if "Id" in block}


def _chats(tx: Tx, app: App) -> Iterator[Attention]:
    """Groups of the settings that became supergroups: messages follow them, the settings should too."""
    for chat in {app.settings.tech_chat_id, *app.settings.admin_ids}:
        now = tx.meta(f"{names.CHAT_MOVED}{chat}")
        if now is not None:
            yield Attention("Telegram", f"chat {chat} is {now} now; messages follow it", f"set tech_chat_id to {now}")


def _recovery(tx: Tx) -> Iterator[Attention]:
    if tx.meta(names.RECOVERY_CONFIRMED) is None:
        what = "nobody confirmed to hold it: without it a lost key file is the end"
        yield Attention(
            "recovery key", what, "vpnctl vault confirm   (or a new one: vpnctl vault renew-recovery --show)"
        )


def _backups(tx: Tx, now: datetime) -> Iterator[Attention]:
    """A restored database whose nodes nobody has decided on, and backups that stopped."""
    if restored.created_at(tx) is not None:
        what = "this database is a backup: nodes that were changed since are left alone until you decide"
        yield Attention("backup", what, "vpnctl backup finish")
    at = last_verified(tx)
    if at is not None and now - at > OLD_BACKUP:
        yield Attention(
            "backup", f"the last one that was compared is {(now - at).days} days old", "vpnctl backup create", at
        )


def last_verified(tx: Tx) -> datetime | None:
    """Return when the newest backup was made that was opened and compared; None when there is none."""
    text = tx.meta(VERIFIED)
    return datetime.fromisoformat(json.loads(text)["created_at"]) if text else None


def _clock(app: App) -> Iterator[Attention]:
    why = clock.jump(app)
    if why:
        yield Attention("clock", f"{why}: time cuts nobody until you vouch for it", "vpnctl jobs run expire --yes")


def _disk(app: App) -> Iterator[Attention]:
    try:
        free = shutil.disk_usage(app.settings.state_dir).free
    except OSError:
        return
    if free < LEAST_FREE:
        yield Attention("disk", f"{free // 2**20} MiB are left for the database", f"df -h {app.settings.state_dir}")


def _names(nodes: list[Node]) -> Iterator[Attention]:
    """Names that clients dial and that do not resolve, or lead elsewhere. A resolver that is slow says nothing here."""
    dialled = [node for node in nodes if node.kind == "ssh" and not grammar.is_address(node.public_host)]
    if not dialled:
        return
    answers: dict[str, set[str]] = {}
    asked = [threading.Thread(target=_ask, args=(node.public_host, answers), daemon=True) for node in dialled]
    for each in asked:
        each.start()
    end = time.monotonic() + _NAMES_SECONDS
    for each in asked:
        each.join(max(0.0, end - time.monotonic()))
    for node in dialled:
        found = answers.get(node.public_host)
        if found is None:
            continue
        wanted = f"vpnctl node set {node.name} --public-host NAME"
        if not found:
            yield Attention(node.name, f"clients dial {node.public_host}, which does not resolve", wanted)
        elif grammar.is_address(node.host) and grammar.address(node.host).is_global and node.host not in found:
            yield Attention(node.name, f"{node.public_host} leads to {sorted(found)[0]}, not to {node.host}", wanted)


def _ask(name: str, answers: dict[str, set[str]]) -> None:
    answers[name] = addresses(name)
