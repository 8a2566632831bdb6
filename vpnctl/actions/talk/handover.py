"""Handing configs to people by Telegram: a notice names the peer, and what it carries is made when it is sent.

A config is sent only once its peer was read on the node. Where the setting keeps no client secrets, a key that we
made is kept sealed until both messages are sent, and then forgotten.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from vpnctl.actions.people import configs, peers
from vpnctl.actions.people.issue import Issued
from vpnctl.app import App
from vpnctl.errors import Conflict, InvalidInput
from vpnctl.protocols import plugin
from vpnctl.remote.http import Part
from vpnctl.store import models, outbox
from vpnctl.store.engine import Tx
from vpnctl.store.outbox import USER, Message
from vpnctl.store.rows import Peer, User
from vpnctl.texts import handout

FILE, QR = "config_file", "config_qr"
VALID = timedelta(days=30)
_notice = models.notice.c


def keeping(app: App) -> App:
    """Return the app as it must be while a config is on its way: keys that are made are kept until they were sent."""
    return replace(app, settings=replace(app.settings, client_secrets="store"))


def send(tx: Tx, app: App, issued: Sequence[Issued]) -> None:
    """Enqueue file and QR code of each peer, each time anew."""
    messages = []
    for each in issued:
        if each.forgotten:
            raise Conflict(f"the private key of {each.user.name}/{each.peer.device} was not kept", "peer regen")
        key = secrets.token_hex(8)
        where, app_name = each.node.region or each.node.name, handout.app_name(each.endpoint.protocol)
        details = {"device": each.peer.device, "node": where, "app": app_name, "old": _old(tx, each)}
        kinds = (FILE,) if each.peer.own_key else (FILE, QR)
        until = app.clock() + VALID
        messages += [Message(USER, kind, each.peer.id, key, details, each.user.id, valid_until=until) for kind in kinds]
    outbox.enqueue(tx, messages, app.clock())


def _old(tx: Tx, each: Issued) -> str:
    """Return the name of the tunnel that this config takes the place of, where one of that name was handed out."""
    peer, notice = models.peer.c, models.notice.c
    same = (peer.user_id == each.user.id, peer.device == each.peer.device, peer.id != each.peer.id)
    before = tx.execute(sa.select(peer.id).where(*same, peer.delivered_at.is_not(None)).limit(1)).first()
    sent = (notice.kind == FILE, notice.sent_at.is_not(None), notice.subject_id.in_(sa.select(peer.id).where(*same)))
    told = tx.execute(sa.select(notice.details).where(*sent).order_by(notice.sent_at.desc()).limit(1)).scalar() or {}
    called = told.get("device", each.peer.device)  # it may have another name since
    name = handout.file_name(each.endpoint.protocol, each.user.name, called, each.peer.id)
    return handout.stem(name) if before is not None else ""


def send_anew(app: App, peer_ids: Sequence[str]) -> list[str]:
    """Enqueue the configs of devices whose people the bot can write to, each once; return the ids of these devices.

    Nothing where there is no bot. A config whose key was not kept cannot be sent.
    """
    if not app.settings.bot_token:
        return []
    queued = []
    with app.store.write() as tx:
        for peer_id in peer_ids:
            peer = tx.one(Peer, models.peer.c.id == peer_id, models.peer.c.revoked_at.is_(None))
            owner = (
                tx.one(User, models.user.c.id == peer.user_id, models.user.c.telegram_id.is_not(None)) if peer else None
            )
            if peer is None or owner is None:
                continue
            issued = peers.unsealed(tx, app, owner, peer)
            if issued.forgotten:
                continue
            if not _on_its_way(tx, peer_id, issued.endpoint.clients_changed_at):
                send(tx, app, [issued])
            queued.append(peer_id)
    return queued


def waits(tx: Tx, peer_id: str) -> bool:
    """Return whether a config of a device is still to be sent."""
    open_ = (
        _notice.subject_id == peer_id,
        _notice.kind == FILE,
        _notice.sent_at.is_(None),
        _notice.failed_at.is_(None),
    )
    return tx.execute(sa.select(_notice.id).where(*open_).limit(1)).first() is not None


def _on_its_way(tx: Tx, peer_id: str, since: datetime | None) -> bool:
    same = (_notice.subject_id == peer_id, _notice.kind == FILE, _notice.failed_at.is_(None))
    newer = () if since is None else (_notice.created_at >= since,)
    return tx.execute(sa.select(_notice.id).where(*same, *newer).limit(1)).first() is not None


def delayed(app: App, node_id: str) -> None:
    """Tell who waits for a config from a node that it does not answer now; once for each config."""
    peer, endpoint = models.peer.c, models.endpoint.c
    query = (
        sa.select(_notice.subject_id, _notice.key, _notice.user_id, _notice.details)
        .join(models.peer, peer.id == _notice.subject_id)
        .join(models.endpoint, endpoint.id == peer.endpoint_id)
        .where(_notice.kind == FILE, _notice.sent_at.is_(None), _notice.failed_at.is_(None))
        .where(peer.present_at.is_(None), peer.revoked_at.is_(None), endpoint.node_id == node_id)
    )
    with app.store.write() as tx:
        messages = [
            Message(USER, "delayed", row.subject_id, row.key, {"device": row.details["device"]}, row.user_id)
            for row in tx.execute(query)
        ]
        outbox.enqueue(tx, messages, app.clock())


def package(app: App, kind: str, peer_id: str) -> Part:
    """Return what a notice carries. Conflict when there is nothing (any more) to send."""
    issued = peers.reveal_id(app, peer_id)
    config = configs.config(app, issued)
    name = handout.file_name(issued.endpoint.protocol, issued.user.name, issued.peer.device, peer_id)
    if kind == FILE:
        return Part("document", name, "application/octet-stream", config.reveal().encode())
    try:
        return Part("photo", f"{handout.stem(name)}.png", "image/png", handout.png(config))
    except InvalidInput as error:
        raise Conflict(error.what, error.hint) from None


def pasted(app: App, peer_id: str) -> str:
    """Return the link that people paste into an app in place of a picture of it; empty where the config is none."""
    issued = peers.reveal_id(app, peer_id)
    link = plugin(issued.endpoint.protocol).supports.link
    return configs.config(app, issued).reveal().strip() if link else ""


def note_outcome(tx: Tx, app: App, kind: str, peer_id: str, *, arrived: bool) -> None:
    """Note what came of a notice: its peer's config arrived; its key is needed no more when nothing is open."""
    if kind == FILE and arrived:
        peers.note_delivery(tx, app, [peer_id], "telegram")
    if app.settings.client_secrets == "discard":
        open_ = (_notice.subject_id == peer_id, _notice.sent_at.is_(None), _notice.failed_at.is_(None))
        if tx.execute(sa.select(_notice.id).where(*open_).limit(1)).first() is None:
            tx.update(Peer, models.peer.c.id == peer_id, secret_sealed=None)
