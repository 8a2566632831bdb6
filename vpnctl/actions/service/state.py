"""The state of this machine: create it, rotate its keys, recover them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from vpnctl import app as names
from vpnctl.actions.fleet import driving, probes
from vpnctl.actions.outcome import stamp
from vpnctl.actions.people import link_address
from vpnctl.app import App, open_app
from vpnctl.errors import Conflict, StateTrouble
from vpnctl.rules.secret import Secret
from vpnctl.settings import Settings
from vpnctl.store import events, models, recovery, trials, vault
from vpnctl.store.engine import Store, Tx
from vpnctl.store.upgrade import upgrade
from vpnctl.store.vault import NIL, Vault

BATCH = 500
SEALED = (
    (models.endpoint, "secret_sealed", "endpoint.key"),
    (models.endpoint, "probe_secret_sealed", probes.SECRET),
    (models.endpoint, "probe_shared_sealed", probes.SHARED),
    (models.peer, "secret_sealed", "peer.secret"),
    (models.peer, "shared_sealed", "peer.psk"),
    (models.alien, "shared_sealed", "alien.psk"),
    (models.node, "panel_secret_sealed", driving.PANEL),
    (models.link, "token_sealed", link_address.SEALED),
)
"""Every sealed column with its label, which is part of what is authenticated and never changes."""


@dataclass(frozen=True)
class Created:
    """What `init` did. `recovery_key` is None when it was shown by an earlier run."""

    fresh: bool
    public_line: str
    recovery_key: Secret | None


def init(settings: Settings, actor: str) -> Created:
    """Create key file, database, SSH key and recovery key; what exists is kept. Killed anywhere, run it again."""
    if not settings.key_file.exists():
        _refuse_orphan(settings)
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings.state_dir.chmod(0o700)
    keys = vault.create(settings.key_file)
    upgrade(settings.database_url)
    app = open_app(settings, actor)
    try:
        with app.store.write() as tx:
            fresh = tx.meta(names.SSH_KEY) is None
            if not fresh:
                _check_key_file(tx, keys)
            if fresh:
                _make_ssh_key(tx, keys)
                events.record(tx, stamp(app), "state.init", ("service", NIL, "service"))
            shown = _make_recovery(tx, keys) if tx.meta(names.RECOVERY_PUBLIC) is None else None
            return Created(fresh, tx.meta(names.SSH_PUBLIC) or "", shown)
    finally:
        app.store.close()


def _refuse_orphan(settings: Settings) -> None:
    """A database without its key file is not made usable by a new key file: that would only hide the loss."""
    path = settings.sqlite_path
    if path is not None and path.exists() and path.stat().st_size:
        store = Store(settings.database_url, check=False)
        try:
            if store.schema() is None:
                return
            with store.read() as tx:
                if tx.meta(names.SSH_KEY) is None:
                    return
        finally:
            store.close()
        raise StateTrouble(
            f"there is a database {path} but not its key file {settings.key_file}",
            "bring the key file back, or: vpnctl vault recover",
        )


def _check_key_file(tx: Tx, keys: Vault) -> None:
    """Raise StateTrouble unless this key file opens this database; a recovery copy of another one is worthless."""
    keys.open("meta.ssh_key", NIL, tx.meta(names.SSH_KEY) or "")


def _make_ssh_key(tx: Tx, keys: Vault) -> None:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    text = private.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption()).decode()
    public = private.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH).decode()
    tx.set_meta(names.SSH_KEY, keys.seal("meta.ssh_key", NIL, Secret(text)))
    tx.set_meta(names.SSH_PUBLIC, f"{public} vpnctl")


def _make_recovery(tx: Tx, keys: Vault) -> Secret:
    public, key = recovery.create()
    tx.set_meta(names.RECOVERY_PUBLIC, public)
    tx.set_meta(names.RECOVERY_COPY, recovery.seal(public, keys.file_text()))
    return key


def confirm_recovery(app: App, key: Secret) -> None:
    """Note that the operator holds the recovery key; Conflict when it is another one."""
    with app.store.write() as tx:
        if recovery.public_of(key) != tx.meta(names.RECOVERY_PUBLIC):
            raise Conflict(
                "that is not the recovery key of this database", "look for the one that `vpnctl init` showed"
            )
        tx.set_meta(names.RECOVERY_CONFIRMED, app.clock().isoformat())
        events.record(tx, stamp(app), "recovery.confirm", ("service", NIL, "service"))


def new_recovery(app: App) -> Secret:
    """Make a new recovery key; the old one opens nothing of this database any more."""
    with app.store.write() as tx:
        _check_key_file(tx, app.vault)
        key = _make_recovery(tx, app.vault)
        tx.execute(sa.delete(models.meta).where(models.meta.c.name == names.RECOVERY_CONFIRMED))
        events.record(tx, stamp(app), "recovery.renew", ("service", NIL, "service"))
        return key


def recover_vault(settings: Settings, key: Secret) -> None:
    """Write the key file anew from the copy in the database. Refuses to overwrite one."""
    store = Store(settings.database_url)
    try:
        with store.read() as tx:
            copy = tx.meta(names.RECOVERY_COPY)
    finally:
        store.close()
    if copy is None:
        raise StateTrouble("the database carries no copy of the vault's keys", "bring the key file back")
    vault.write_private(settings.key_file, recovery.unseal(key, copy).reveal())


def rotate(settings: Settings, actor: str, advance: Callable[[int, int], None]) -> int:
    """Seal everything with a fresh key and forget the old ones; return how many values there were.

    Resumable: killed anywhere, run it again. Nobody else may use the database meanwhile (Busy).
    """
    store = Store(settings.database_url, exclusive=True)
    keys = Vault(settings.key_file)
    app = App(settings, store, keys, _no_nodes, actor)
    try:
        if len(keys.key_ids()) == 1:
            keys.add_key()
        with store.write() as tx:
            # From here on the recovery key opens both keys, and at the end only the new one.
            _renew_copy(tx, keys)
            _reseal_meta(tx, keys)
        done = sum(_reseal(app, table, column, label, advance) for table, column, label in SEALED)
        keys.drop_old_keys()
        with store.write() as tx:
            _renew_copy(tx, keys)
            events.record(tx, stamp(app), "vault.rotate", ("service", NIL, "service"), None, {"key": keys.current})
        return done
    finally:
        store.close()


def _no_nodes(_login: Any) -> Any:
    raise StateTrouble("no node is contacted while keys are rotated")


def _renew_copy(tx: Tx, keys: Vault) -> None:
    public = tx.meta(names.RECOVERY_PUBLIC)
    if public is not None:
        tx.set_meta(names.RECOVERY_COPY, recovery.seal(public, keys.file_text()))


def _reseal_meta(tx: Tx, keys: Vault) -> None:
    for name in (names.SSH_KEY, trials.KEY):
        sealed = tx.meta(name)
        if sealed is not None:
            tx.set_meta(name, keys.seal(f"meta.{name}", NIL, keys.open(f"meta.{name}", NIL, sealed)))


def _reseal(app: App, table: sa.Table, column: str, label: str, advance: Callable[[int, int], None]) -> int:
    """Re-seal one column in batches, each a transaction."""
    sealed, own = table.c[column], next(iter(table.primary_key))
    old = sa.and_(sealed.is_not(None), sealed.not_like(f"v1.{app.vault.current}.%"))
    done = 0
    with app.store.read() as tx:
        total = tx.execute(sa.select(sa.func.count()).where(old).select_from(table)).scalar() or 0
    while True:
        with app.store.write() as tx:
            rows = tx.execute(sa.select(own, sealed).where(old).limit(BATCH)).all()
            for row_id, text in rows:
                fresh = app.vault.seal(label, row_id, app.vault.open(label, row_id, text))
                tx.execute(sa.update(table).where(own == row_id).values({column: fresh}))
        if not rows:
            return done
        done += len(rows)
        advance(done, total)
