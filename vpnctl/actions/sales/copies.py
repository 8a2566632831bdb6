"""Receipts that were sent before in another file: their pictures are compared by digest, and admins are told."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import timedelta

import sqlalchemy as sa

from vpnctl.actions.sales.checkout import Round
from vpnctl.actions.talk import alerts
from vpnctl.app import App
from vpnctl.rules.exchange import HttpCall
from vpnctl.store import models, outbox
from vpnctl.store.buying_rows import Order, Proof

BATCH, LARGEST = 20, 1024 * 1024
"""Pictures a round, and bytes of one: Telegram's own are smaller."""
PATIENCE, PAUSE = timedelta(days=1), timedelta(minutes=1)
"""How long a digest is tried for, and how long nobody asks once Telegram was in trouble."""
UNREADABLE = "unreadable"
"""In place of a digest: Telegram does not give the file, or it is larger than pictures are."""
_PAUSED = "copies_paused"
"""In meta: until when nobody asks."""
_table = models.proof.c
_PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_./-]{0,199}")
_OK, _REFUSED, _BUSY, _TROUBLE = 200, 400, 429, 500


def work(app: App) -> Round:
    """Take the digests of pictures that came, and tell admins of copies. Telegram is asked outside of a transaction."""
    done, now = Round(), app.clock()
    if not app.settings.bot_token:
        return done
    with app.store.read() as tx:
        open_ = (_table.file_id.is_not(None), _table.digest.is_(None))
        rows = tx.all(Proof, *open_, order=_table.created_at.desc(), limit=BATCH)
        paused = tx.meta(_PAUSED)
    if not rows or (paused and timedelta() < now.fromisoformat(paused) - now <= PAUSE):
        return done
    for row in rows:
        try:
            _note(app, row, _digest(app, row.file_id or ""))
            done.counts["receipts compared"] += 1
        except OSError:
            if row.created_at <= now - PATIENCE:
                _note(app, row, UNREADABLE)
            with app.store.write() as tx:
                tx.set_meta(_PAUSED, (now + PAUSE).isoformat())
            break
    return done


def _digest(app: App, file_id: str) -> str:
    """Return the digest of a file, or UNREADABLE. Raises OSError where it may be had later."""
    root, token = app.settings.telegram_api_url, app.settings.bot_token.reveal()
    headers, body = {"Content-Type": "application/json"}, json.dumps({"file_id": file_id}).encode()
    answer = app.exchange(HttpCall("POST", f"{root}/bot{token}/getFile", headers, body))
    try:
        said = json.loads(answer.body)
        found = said["result"] if said["ok"] is True else {}
        path, size = found.get("file_path"), found.get("file_size")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise OSError("no answer of Telegram") from None
    if said["ok"] is not True and answer.status != _REFUSED:
        raise OSError("Telegram is in trouble")
    large = isinstance(size, int) and size > LARGEST
    if large or not isinstance(path, str) or not _PATH.fullmatch(path) or ".." in path:
        return UNREADABLE
    file = app.exchange(HttpCall("GET", f"{root}/file/bot{token}/{path}", {}, None))
    if file.status == _BUSY or file.status >= _TROUBLE:
        raise OSError("Telegram is in trouble")
    return hashlib.sha256(file.body).hexdigest() if file.status == _OK and file.body else UNREADABLE


def _note(app: App, row: Proof, digest: str) -> None:
    with app.store.write() as tx:
        tx.update(Proof, _table.id == row.id, digest=digest)
        same = (_table.digest == digest, _table.digest != UNREADABLE, _table.order_id != row.order_id)
        other = tx.one(Proof, *same)
        if other is not None:
            mine, before = (tx.one(Order, models.order.c.id == each.order_id) for each in (row, other))
            details = {"number": mine.number if mine else 0, "other": before.number if before else 0}
            outbox.enqueue(tx, alerts.admins(app, "proof_copy", row.id, "", details), app.clock())


def unproven() -> sa.Select[tuple[str]]:
    """Return the ids of orders with a picture that was sent for another order too, or that nobody could compare."""
    other = models.proof.alias()
    same = (other.c.digest == _table.digest, other.c.order_id != _table.order_id)
    unread = sa.and_(_table.file_id.is_not(None), sa.or_(_table.digest.is_(None), _table.digest == UNREADABLE))
    return sa.select(_table.order_id).where(sa.or_(unread, sa.exists().where(*same)))
