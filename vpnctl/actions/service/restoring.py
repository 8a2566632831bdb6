"""The way back from a backup: the database is put where there is none; nodes that were changed since are left alone.

Whoever was revoked since the backup stands in it as alive, and whoever was added since does not. Nothing of that
is made true by itself: each node is read, both are listed, and somebody decides. Every node's token moves with the
first settle, so that a second controller with the same backup is refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import sqlalchemy as sa

from vpnctl.actions.fleet import aliens, clock, trust
from vpnctl.actions.fleet.desired import View, load
from vpnctl.actions.fleet.driving import drive, look, proven
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.outcome import Settled, stamp
from vpnctl.actions.people.peers import revoke_rows
from vpnctl.actions.service import backups
from vpnctl.app import RESTORED, SSH_KEY, App
from vpnctl.errors import InvalidInput, StateTrouble, VpnctlError
from vpnctl.remote.driver import Query
from vpnctl.rules.changes import SYSTEM
from vpnctl.rules.observed import Observed
from vpnctl.rules.secret import Secret
from vpnctl.settings import Settings, written
from vpnctl.store import events, models, snapshot
from vpnctl.store.engine import Tx
from vpnctl.store.rows import Endpoint, Node, Peer, User
from vpnctl.store.vault import NIL, Vault, write_private

HELD = "it waited when the backup was made, and may have been sent since"
_OURS = ("state_dir:", "database_url:", "key_file:")
"""Lines of a config file that belong to the machine, not to the service."""


@dataclass(frozen=True)
class Restored:
    """What came back. `held` messages waited then; they are not sent. `config` was written, None: there was one."""

    created_at: datetime
    nodes: int
    users: int
    devices: int
    held: int
    config: Path | None


def restore(settings: Settings, path: Path, recovery_key: Secret | None, config: Path, actor: str) -> Restored:
    """Make a backup the service of this machine: database, key file, settings. Refuses where there is a database.

    Killed anywhere, run it again: the database comes last. StateTrouble for a file that does not open; nothing is
    changed then.
    """
    snapshot.refuse_existing(settings.database_url)
    fresh = not settings.key_file.exists()
    if fresh and recovery_key is None:
        raise InvalidInput("a backup is opened with its recovery key", "give --recovery-key")
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = None if fresh else Vault(settings.key_file)
    with backups.opened(settings, path, keys, recovery_key) as found:
        counted = _fence(found.app, found.created_at, actor)
        if fresh:
            write_private(settings.key_file, found.app.vault.file_text().reveal())
        else:
            _check_key_file(found.app, settings)
        wrote = _write_config(config, found.settings, settings)
        copy = found.app.store.path
        found.app.store.close()
        assert copy is not None  # noqa: S101 - a backup is opened as SQLite
        snapshot.put(copy, settings.database_url)
        _make_durable(settings.state_dir)
    return Restored(found.created_at, *counted, config=config if wrote else None)


def _check_key_file(app: App, settings: Settings) -> None:
    with app.store.read() as tx:
        sealed = tx.meta(SSH_KEY) or ""
    try:
        Vault(settings.key_file).open("meta.ssh_key", NIL, sealed)
    except StateTrouble:
        raise StateTrouble(
            f"the key file {settings.key_file} belongs to another database; nothing was changed",
            f"if that one is given up: mv {settings.key_file} {settings.key_file}.old",
        ) from None


def _fence(app: App, created: datetime, actor: str) -> tuple[int, int, int, int]:
    """Write into the copy that it was restored; return how many nodes, users, devices and held messages it has."""
    now, living = app.clock(), models.node.c.retired_at.is_(None)
    waiting = (models.notice.c.sent_at.is_(None), models.notice.c.failed_at.is_(None))
    with app.store.write() as tx:
        nodes = tx.update(Node, living, fence_at=now, leased_until=None, leased_by=None)
        held = tx.execute(sa.update(models.notice).where(*waiting).values(failed_at=now, error=HELD)).rowcount
        tx.set_meta(RESTORED, json.dumps({"at": now.isoformat(), "created_at": created.isoformat()}))
        after = {"created_at": created.isoformat(), "held": held}
        events.record(
            tx, events.Stamp(now, actor, app.run_id), "backup.restore", ("service", NIL, "service"), None, after
        )
        users = _count(tx, models.user, models.user.c.removed_at.is_(None))
        devices = _count(tx, models.peer, models.peer.c.revoked_at.is_(None))
    clock.note(app)  # whoever restores has looked at the clock; what was noted is of another machine or time
    return nodes, users, devices, held


def _count(tx: Tx, table: sa.Table, where: sa.ColumnElement[bool]) -> int:
    return tx.execute(sa.select(sa.func.count()).select_from(table).where(where)).scalar() or 0


def _write_config(config: Path, text: str, settings: Settings) -> bool:
    """Write the settings of the backup where there is no config file; what says where things are is this machine's."""
    if config.exists():
        return False
    here = [line for line in written(settings).splitlines() if line.startswith(_OURS)]
    lines = [*here, *(line for line in text.splitlines() if not line.startswith(_OURS))]
    write_private(config, "".join(f"{line}\n" for line in lines))
    return True


def _make_durable(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


class Since(StrEnum):
    """What happened to a node since the backup."""

    NOTHING = "nothing"
    CHANGED = "changed"
    """It shows a token that the backup does not know, or none any more."""
    SILENT = "no answer"


@dataclass(frozen=True)
class Review:
    """A node beside the database: `missing` devices are alive in it and not there, `unknown` peers the reverse."""

    node: str
    since: Since
    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    why: str = ""
    id: str = ""
    token: str = ""
    missing_ids: tuple[str, ...] = ()


def review(app: App) -> list[Review]:
    """Read every node and change nothing: what was revoked, and what was added there since the backup."""
    with app.store.read() as tx:
        nodes = tx.all(Node, models.node.c.retired_at.is_(None), order=models.node.c.name)
        views = [load(tx, node.id, app.clock()) for node in nodes]
    if not views:
        return []
    with app.progress("nodes", len(views)) as step, ThreadPoolExecutor(min(app.settings.parallel, len(views))) as pool:

        def one(view: View) -> Review:
            try:
                return _reviewed(app, view)
            except VpnctlError as error:
                return Review(view.node.name, Since.SILENT, why=error.what, id=view.node.id)
            finally:
                step()

        return list(pool.map(one, views))


def _reviewed(app: App, view: View) -> Review:
    with drive(app, view) as way:
        observed = look(app, view, way, Query(SYSTEM, proven(view)))
    node, token = view.node, models.token.c
    with app.store.read() as tx:
        known = _count(tx, models.token, sa.and_(token.node_id == node.id, token.value == observed.token))
        if known or (observed.token == trust.NONE and node.token is None):
            return Review(node.name, Since.NOTHING, id=node.id)
        strangers = {peer.identity for each in view.endpoints for peer in aliens.strangers(tx, each, observed)}
        restored = _restored(tx)
    # Whatever looked at the node since has noted them already.
    strangers |= {each.identity for each in view.aliens if restored is not None and each.first_seen_at > restored}
    gone = [(peer.id, f"{view.owners[peer.user_id]}/{peer.device}") for peer in _missing(view, observed)]
    return Review(
        node.name, Since.CHANGED, tuple(name for _, name in gone), tuple(sorted(strangers)),
        id=node.id, token=observed.token, missing_ids=tuple(peer_id for peer_id, _ in gone),
    )  # fmt: skip


def _missing(view: View, observed: Observed) -> list[Peer]:
    """Peers that may connect by the database, on endpoints that run, and are not there."""
    names = {endpoint.id: endpoint.name for endpoint in view.endpoints}
    found = []
    for peer in view.peers:
        seen = observed.endpoints.get(names[peer.endpoint_id])
        if view.reasons[peer.id] is None and seen is not None and peer.identity not in seen.live:
            found.append(peer)
    return found


@dataclass(frozen=True)
class Decision:
    """What becomes of devices that are missing on changed nodes, and of peers that only these know."""

    revoke_missing: bool
    """Else they are put there again."""
    prune_unknown: bool
    """Else they stay, as aliens."""


def finish(app: App, reviews: Sequence[Review], decision: Decision) -> list[Settled]:
    """Take the nodes over as decided, and settle all of them. Nodes that did not answer stay as they are.

    When every node was taken over, the restoring is over.
    """
    changed = [each for each in reviews if each.since is Since.CHANGED]
    for each in changed:
        with app.store.write() as tx:
            if decision.revoke_missing:
                _revoke(tx, app, each.missing_ids)
            node = tx.one(Node, models.node.c.id == each.id)
            if each.token == trust.NONE:
                tx.update(Node, models.node.c.id == each.id, token=None)
        if node is not None and each.token != trust.NONE:
            trust.adopt_token(app, node, each.token)
    ids = [each.id for each in reviews if each.since is not Since.SILENT]
    wish = Wish(scope=SYSTEM, always=True)
    settled = {each.node_id: each for each in settle(app, ids, wish)}
    if decision.prune_unknown and aliens.prune(app, [each.id for each in changed]):
        settled |= {each.node_id: each for each in settle(app, [each.id for each in changed], wish)}
    if len(ids) == len(reviews) and not any(each.code for each in settled.values()):
        with app.store.write() as tx:
            tx.execute(sa.delete(models.meta).where(models.meta.c.name == RESTORED))
            events.record(tx, stamp(app), "backup.finish", ("service", NIL, "service"))
    return list(settled.values())


def _revoke(tx: Tx, app: App, peer_ids: Sequence[str]) -> None:
    for peer_id in peer_ids:
        peer = tx.one(Peer, models.peer.c.id == peer_id, models.peer.c.revoked_at.is_(None))
        owner = tx.one(User, models.user.c.id == peer.user_id) if peer else None
        if peer is not None and owner is not None:
            revoke_rows(tx, app, [peer], owner.name)
            tx.update(Endpoint, models.endpoint.c.id == peer.endpoint_id, changed_at=app.clock())


def restored_at(app: App) -> datetime | None:
    """Return when the backup was made whose restoring is not finished; None when nothing is to be decided."""
    with app.store.read() as tx:
        return _restored(tx)


def _restored(tx: Tx) -> datetime | None:
    text = tx.meta(RESTORED)
    return datetime.fromisoformat(json.loads(text)["created_at"]) if text else None
