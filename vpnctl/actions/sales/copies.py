"""Receipts that were sent before in another file: their pictures are compared by digest, and admins are told."""

from __future__ import annotations

import hashlib
import json

import sqlalchemy as sa

from vpnctl.actions.sales.checkout import Round
from vpnctl.actions.talk import alerts
from vpnctl.app import App
from vpnctl.rules.exchange import HttpCall
from vpnctl.store import models, outbox
from vpnctl.store.buying_rows import Order, Proof

BATCH = 20
UNREADABLE = "unreadable"
"""In place of a digest: Telegram does not give the file, or it is larger than pictures are."""
_table = models.proof.c
_PATH, _REFUSED = "file_path", 400


def work(app: App) -> Round:
    """Take the digests of pictures that came, and tell admins of copies. Telegram is asked outside of a transaction."""
    done = Round()
    if not app.settings.bot_token:
        return done
    with app.store.read() as tx:
        rows = tx.all(Proof, _table.file_id.is_not(None), _table.digest.is_(None), limit=BATCH)
    for row in rows:
        try:
            digest = _digest(app, row.file_id or "")
        except OSError:  # nobody answers: the next round asks again
            return done
        _note(app, row, digest)
        done.counts["receipts compared"] += 1
    return done


def _digest(app: App, file_id: str) -> str:
    root, token = app.settings.telegram_api_url, app.settings.bot_token.reveal()
    headers, body = {"Content-Type": "application/json"}, json.dumps({"file_id": file_id}).encode()
    answer = app.exchange(HttpCall("POST", f"{root}/bot{token}/getFile", headers, body))
    try:
        path = json.loads(answer.body)["result"][_PATH]
    except (ValueError, LookupError, TypeError):
        if answer.status < 500:  # noqa: PLR2004 - Telegram itself is in trouble
            return UNREADABLE
        raise OSError("no whole answer") from None
    file = app.exchange(HttpCall("GET", f"{root}/file/bot{token}/{path}", {}, None))
    return hashlib.sha256(file.body).hexdigest() if file.status < _REFUSED else UNREADABLE


def _note(app: App, row: Proof, digest: str) -> None:
    with app.store.write() as tx:
        tx.update(Proof, _table.id == row.id, digest=digest)
        same = (_table.digest == digest, _table.digest != UNREADABLE, _table.order_id != row.order_id)
        other = tx.one(Proof, *same)
        if other is not None:
            mine, before = (tx.one(Order, models.order.c.id == each.order_id) for each in (row, other))
            details = {"number": mine.number if mine else 0, "other": before.number if before else 0}
            outbox.enqueue(tx, alerts.admins(app, "proof_copy", row.id, "", details), app.clock())


def copied() -> sa.Select[tuple[str]]:
    """Return the ids of orders with a receipt that was sent for another order too."""
    other = models.proof.alias()
    same = (other.c.digest == _table.digest, other.c.order_id != _table.order_id, _table.digest != UNREADABLE)
    return sa.select(_table.order_id).where(sa.exists().where(*same))
