"""Backups: everything in one sealed file, tried before it counts. `restoring` is the way back.

A file holds the database as one SQLite file, whatever it lives in, the settings, and what was rendered from it: the
digest of each file on each node, and of each config that people hold. With the recovery key it is the whole service.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
import shutil
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

import sqlalchemy as sa

from vpnctl import __version__
from vpnctl import app as names
from vpnctl.actions.fleet.desired import desired, load
from vpnctl.actions.outcome import stamp
from vpnctl.actions.people import configs
from vpnctl.app import App
from vpnctl.errors import InvalidInput, StateTrouble
from vpnctl.rules.secret import Secret
from vpnctl.settings import Settings, written
from vpnctl.store import events, models, recovery, sealed_file, snapshot
from vpnctl.store.aside import private_folder
from vpnctl.store.engine import Store
from vpnctl.store.rows import Node, Peer
from vpnctl.store.upgrade import upgrade
from vpnctl.store.vault import NIL, Vault

SUFFIX = ".vpnctl-backup"
VERIFIED = "backup_verified"
"""Of meta: the last backup that was opened and compared, as JSON {file, created_at, verified_at}."""
_DATABASE, _SETTINGS, _RENDERED = "vpnctl.db", "vpnctl.yaml", "rendered.json"
_STAMP = "%Y%m%dT%H%M%SZ"
_TRIES = 3
_PART = 1 << 20


@dataclass(frozen=True)
class Backup:
    """A backup file. Sizes are bytes; `checked` is when this service last opened and compared it."""

    file: str
    created_at: datetime
    size: int
    schema: str
    checked: datetime | None = None


@dataclass(frozen=True)
class Opened:
    """A backup that was opened aside: its database as an app of its own, what else it holds, what was rendered then."""

    app: App
    settings: str
    created_at: datetime
    rendered: Mapping[str, str]
    version: str
    """Of the vpnctl that wrote it."""
    differing: tuple[str, ...] = ()
    """What it renders otherwise today, where another version wrote it."""


def folder(settings: Settings) -> Path:
    """Return where backups go."""
    return settings.backup_folder or settings.state_dir / "backups"


def create(app: App, into: Path | None = None) -> Backup:
    """Write a backup into a folder, read it back, and compare all that it renders with what this service renders.

    Only a file that passed has its final name. StateTrouble where it does not.
    """
    target = into or folder(app.settings)
    now = app.clock()
    with app.store.read() as tx:
        public = tx.meta(names.RECOVERY_PUBLIC)
    if public is None:
        raise StateTrouble("there is no recovery key to seal a backup with", "vpnctl vault renew-recovery --show")
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    _sweep(target)
    path = target / f"vpnctl-{now.astimezone(UTC):{_STAMP}}{SUFFIX}"
    if path.exists():
        raise InvalidInput(f"{path} exists already", "wait a second")
    half = target / f".{path.name}.{secrets.token_hex(4)}"
    try:
        with private_folder(app.settings.state_dir) as aside:  # in clear: not where backups go
            rendered = _snapshot(app, aside / _DATABASE, now)
            _write(app, half, aside, public, rendered, now)
        verify(app.settings, half, keys=app.vault)
        half.rename(path)
    except OSError as error:
        raise StateTrouble(f"cannot write a backup to {target}: {error.strerror}", "look at that folder") from None
    finally:
        half.unlink(missing_ok=True)
    _note(app, path.name, now)
    return Backup(path.name, now, path.stat().st_size, models.SCHEMA, app.clock())


def _sweep(target: Path) -> None:
    """Remove what killed runs left half written; one that is being written is younger."""
    for left in target.glob(f".vpnctl-*{SUFFIX}.*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED:
                left.unlink()


_ABANDONED = 86_400.0
"""Seconds."""


def _snapshot(app: App, path: Path, now: datetime) -> dict[str, str]:
    """Take a snapshot; return what the service renders, which is what the snapshot must render.

    Where changes keep coming in between, it is what the snapshot renders.
    """
    for _ in range(_TRIES):
        path.unlink(missing_ok=True)
        before = _last_event(app)
        snapshot.take(app.store, path)
        rendered = render(app, now)
        if _last_event(app) == before:
            return rendered
    with _app_on(path, app.settings, app.vault) as copy:
        return render(copy, now)


def _last_event(app: App) -> int:
    with app.store.read() as tx:
        return tx.execute(sa.select(sa.func.max(models.event.c.seq))).scalar() or 0


def render(app: App, now: datetime) -> dict[str, str]:
    """Return the digest of each file of each node, and of each person's config, as they are at `now`."""
    then = replace(app, clock=lambda: now)
    found: dict[str, str] = {}
    with app.store.read() as tx:
        for node in tx.all(Node, models.node.c.retired_at.is_(None), order=models.node.c.name):
            view = load(tx, node.id, now)
            found |= {f"{node.name} {each.name}": each.config.digest for each in desired(then, view).endpoints}
        live = [peer.id for peer in tx.all(Peer, models.peer.c.revoked_at.is_(None), order=models.peer.c.id)]
    issued, _ = configs.kept(then, live)
    for each in issued:
        found[each.peer.id] = hashlib.sha256(configs.config(then, each).reveal().encode()).hexdigest()
    return found


def _write(app: App, half: Path, aside: Path, public: str, rendered: Mapping[str, str], now: datetime) -> None:
    key, sealed = sealed_file.new_key(public, app.vault)
    header = {"created_at": now.isoformat(), "schema": models.SCHEMA, "vpnctl": __version__, "keys": sealed}
    texts = {_SETTINGS: written(app.settings), _RENDERED: json.dumps(rendered, sort_keys=True)}
    handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as out:
        with (
            contextlib.closing(sealed_file.SealedFile(out, key, header)) as sealing,
            tarfile.open(fileobj=cast("BinaryIO", sealing), mode="w|gz") as tar,
        ):
            for name, text in texts.items():
                info = tarfile.TarInfo(name)
                info.size = len(text.encode())
                tar.addfile(info, io.BytesIO(text.encode()))
            tar.add(aside / _DATABASE, _DATABASE)
        out.flush()
        os.fsync(out.fileno())


@contextlib.contextmanager
def opened(settings: Settings, path: Path, keys: Vault | None, recovery_key: Secret | None) -> Iterator[Opened]:
    """Open a backup aside, its schema brought up to this version's. Nothing outside of a folder of its own is touched.

    StateTrouble for a file that is damaged, cut off, foreign or newer.
    """
    with private_folder(settings.state_dir if settings.state_dir.is_dir() else None) as aside:
        header = _unpack(path, aside, keys, recovery_key)
        database = aside / _DATABASE
        if header["schema"] > models.SCHEMA:
            raise StateTrouble(
                f"this backup has schema {header['schema']}, newer than {models.SCHEMA}", "install a newer vpnctl"
            )
        upgrade(f"sqlite:///{database}")
        store = Store(f"sqlite:///{database}")
        try:
            snapshot.check(store)
            vault = _vault_within(store, recovery_key) if recovery_key is not None else keys
        finally:
            store.close()
        with _app_on(database, settings, vault or Vault(settings.key_file)) as app:
            rendered = json.loads((aside / _RENDERED).read_text(encoding="utf-8"))
            created = datetime.fromisoformat(header["created_at"]).astimezone(settings.zone)
            text = (aside / _SETTINGS).read_text(encoding="utf-8")
            yield Opened(app, text, created, rendered, str(header.get("vpnctl", "")))


def _unpack(path: Path, aside: Path, keys: Vault | None, recovery_key: Secret | None) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            reader = sealed_file.OpenedFile(file, lambda header: sealed_file.key_of(header, keys, recovery_key))
            _extract(reader, aside)
            while reader.read(_PART):  # to its very end: a file that was cut off behind the archive is not whole
                continue
            return reader.header
    except FileNotFoundError:
        raise InvalidInput(f"there is no file {path}", "vpnctl backup list") from None
    except OSError as error:
        raise StateTrouble(f"cannot read {path}: {error.strerror or error}") from None
    except (tarfile.TarError, EOFError):
        raise StateTrouble("this backup does not open: what is in it is damaged", "take another one") from None


def _extract(reader: sealed_file.OpenedFile, aside: Path) -> None:
    missing = {_DATABASE, _SETTINGS, _RENDERED}
    with tarfile.open(fileobj=cast("BinaryIO", reader), mode="r|gz") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.name in missing else None
            if content is None:
                raise StateTrouble("this backup holds something that is not ours", "take another one")
            with os.fdopen(os.open(aside / member.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                shutil.copyfileobj(content, out, _PART)
            missing.remove(member.name)
    if missing:
        raise StateTrouble(f"this backup lacks {', '.join(sorted(missing))}", "take another one")


def _vault_within(store: Store, recovery_key: Secret) -> Vault:
    """Return the vault whose keys the database itself carries, sealed for the recovery key."""
    with store.read() as tx:
        copy = tx.meta(names.RECOVERY_COPY)
    if copy is None:
        raise StateTrouble("this backup carries no copy of the vault's keys", "take another one")
    return Vault.holding(recovery.unseal(recovery_key, copy))


@contextlib.contextmanager
def _app_on(database: Path, settings: Settings, keys: Vault) -> Iterator[App]:
    """An app on a copy of the database. It reaches no node."""

    def nowhere(_login: object) -> Any:
        raise StateTrouble("no node is contacted from a copy of the database")

    store = Store(f"sqlite:///{database}")
    zone = settings.zone
    try:
        yield App(settings, store, keys, nowhere, "cli:backup", clock=lambda: datetime.now(zone))
    finally:
        store.close()


def verify(settings: Settings, path: Path, keys: Vault | None = None, recovery_key: Secret | None = None) -> Opened:
    """Open a backup aside, and compare every file and config that it renders with what was rendered when it was made.

    StateTrouble where one differs, or a secret does not open. What another version of vpnctl wrote may be rendered
    otherwise by this one: then that is no trouble, and named.
    """
    with opened(settings, path, keys, recovery_key) as found:
        with found.app.store.read() as tx:
            found.app.vault.open("meta.ssh_key", NIL, tx.meta(names.SSH_KEY) or "")
        now = render(found.app, found.created_at)
        wrong = sorted(each for each in now.keys() | found.rendered.keys() if now.get(each) != found.rendered.get(each))
        if wrong and found.version == __version__:
            raise StateTrouble(
                f"{len(wrong)} files or configs of this backup are not what they were, such as {wrong[0]}",
                "take another one",
            )
        return replace(found, differing=tuple(wrong))


def note_verified(app: App, path: Path) -> None:
    """Remember that a backup was opened and compared."""
    with path.open("rb") as file:
        created = datetime.fromisoformat(sealed_file.header_of(file)["created_at"])
    _note(app, path.name, created)


def _note(app: App, name: str, created: datetime) -> None:
    now = app.clock()
    value = {"file": name, "created_at": created.isoformat(), "verified_at": now.isoformat()}
    with app.store.write() as tx:
        last = tx.meta(VERIFIED)
        if last is None or datetime.fromisoformat(json.loads(last)["created_at"]) <= created:
            tx.set_meta(VERIFIED, json.dumps(value))
        events.record(tx, stamp(app), "backup.verify", ("service", NIL, "service"), None, {"file": name})
