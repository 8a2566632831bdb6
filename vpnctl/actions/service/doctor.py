"""Checks of this machine and of the state. Nothing is changed, no node is contacted."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vpnctl import app as names
from vpnctl.actions.service import selfcheck
from vpnctl.app import open_app
from vpnctl.errors import VpnctlError
from vpnctl.reports import status
from vpnctl.rules import grammar
from vpnctl.settings import Settings, other_state
from vpnctl.store import models
from vpnctl.store.engine import Store, Tx
from vpnctl.store.rows import Endpoint, Node
from vpnctl.store.vault import NIL, Vault

FREE_BYTES = 64 * 1024 * 1024
TIMER = Path("/etc/systemd/system/vpnctl-sync.timer")


@dataclass(frozen=True)
class Check:
    """One finding: `ok`, `note` (advice), `warn` or `FAIL`."""

    verdict: str
    what: str
    hint: str = ""


def examine(settings: Settings) -> list[Check]:
    """Return all findings; a check that cannot be made is a finding too."""
    found = list(_machine(settings))
    try:
        store = Store(settings.database_url)
    except VpnctlError as error:
        return [*found, Check("FAIL", error.what, error.hint)]
    try:
        for check in (_integrity, _keys, _backups, _nodes, _work, _itself):
            try:
                with store.read() as tx:
                    found += check(tx, settings)
            except VpnctlError as error:
                found.append(Check("FAIL", error.what, error.hint))
    finally:
        store.close()
    return found


def _machine(settings: Settings) -> Iterator[Check]:
    there = other_state()
    if there is not None:
        yield Check(
            "warn",
            f"another state exists: {there}",
            "a timer on the wrong one expires nobody; remove the one you do not use",
        )
    if settings.state_dir.exists():
        mode = stat.S_IMODE(settings.state_dir.stat().st_mode)
        loose = mode & 0o077
        yield Check(
            "FAIL" if loose else "ok",
            f"state folder {settings.state_dir}, mode {mode:04o}",
            f"chmod 700 {settings.state_dir}" if loose else "",
        )
        for path in sorted(settings.state_dir.glob("vpnctl.db*")):
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                yield Check("FAIL", f"{path} can be read by others", f"chmod 600 {path}")
        free = shutil.disk_usage(settings.state_dir).free
        yield Check(
            "ok" if free > FREE_BYTES else "FAIL",
            f"{free // 2**20} MiB free for the database",
            "" if free > FREE_BYTES else "make room",
        )
    if not selfcheck.SYSTEMD.is_dir():
        yield Check("note", "no systemd here", "vpnctl jobs install prints lines for crontab")
    elif not TIMER.exists():
        yield Check("warn", "timers are not installed", "vpnctl jobs install")


def _integrity(tx: Tx, settings: Settings) -> Iterator[Check]:
    if settings.sqlite_path is not None:
        yield Check(
            "note",
            "a plain cp of the database in use lacks what stands in its -wal file",
            "copy it with: vpnctl db copy FILE",
        )
        result = tx.connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        good = result == "ok"
        yield Check(
            "ok" if good else "FAIL",
            f"database {settings.sqlite_path}, schema {models.SCHEMA}",
            "" if good else "it is damaged: restore a backup",
        )
    else:
        yield Check("ok", f"PostgreSQL database, schema {models.SCHEMA}")


def _keys(tx: Tx, settings: Settings) -> Iterator[Check]:
    vault = Vault(settings.key_file)
    vault.open("meta.ssh_key", NIL, tx.meta(names.SSH_KEY) or "")
    endpoint = next(iter(tx.all(Endpoint, models.endpoint.c.secret_sealed.is_not(None), limit=1)), None)
    if endpoint is not None:
        vault.open("endpoint.key", endpoint.id, endpoint.secret_sealed or "")
    yield Check("ok", f"key file {settings.key_file} opens the database")
    if len(vault.key_ids()) > 1:
        yield Check("warn", "a key rotation was interrupted", "vpnctl vault rotate")
    if tx.meta(names.RECOVERY_CONFIRMED) is not None:
        yield Check("ok", "recovery key confirmed")


def _backups(tx: Tx, settings: Settings) -> Iterator[Check]:
    at = selfcheck.last_verified(tx)
    if at is None:
        yield Check("note", "there is no backup that was opened and compared", "vpnctl backup create")
    else:
        age = datetime.now(settings.zone) - at
        late = age > selfcheck.OLD_BACKUP
        what = f"the last backup that was opened and compared is {_some(age.days, 'day')} old"
        yield Check("warn" if late else "ok", what, "vpnctl backup create" if late else "")


def _nodes(tx: Tx, _settings: Settings) -> Iterator[Check]:
    for node in tx.all(Node, models.node.c.retired_at.is_(None), order=models.node.c.name):
        if node.last_error is not None:
            said = node.last_error.removeprefix(f"{node.name}: ")
            yield Check("warn", f"{node.name}, at the last visit: {said}", f"vpnctl node check {node.name}")
        try:
            grammar.address(node.public_host)
        except VpnctlError:
            continue
        yield Check(
            "note",
            f"clients of {node.name} dial an address, {node.public_host}: if it is lost, everybody needs a new file",
            f"point a DNS name at it, then: vpnctl node set {node.name} --public-host NAME",
        )


def _work(tx: Tx, settings: Settings) -> Iterator[Check]:
    found = status.page(tx, datetime.now(settings.zone))
    if found.pending_peers:
        yield Check("warn", f"{found.pending_peers} peers are not as they should be yet", "vpnctl status")
    else:
        yield Check("ok", f"{_some(found.nodes, 'node')}, {_some(found.peers, 'peer')}, nothing pending")


def _itself(_tx: Tx, settings: Settings) -> Iterator[Check]:
    """What `status` leads with: whether the service is at work at all."""
    app = open_app(settings, "cli:doctor")
    try:
        found = selfcheck.findings(app)
    finally:
        app.store.close()
    for each in found:
        since = f" since {each.since:%Y-%m-%d %H:%M} UTC" if each.since else ""
        yield Check("warn", f"{each.subject}: {each.what}{since}", each.command)
    if not found:
        yield Check("ok", "nothing is wrong with jobs, timers, bot, clock and names")


def _some(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
