"""Who hears of what: messages for the admins and for the technical chat."""

from __future__ import annotations

from typing import Any

from vpnctl.app import App
from vpnctl.remote import http
from vpnctl.store.outbox import ADMIN, TECH, Message


def heartbeat(app: App) -> None:
    """Tell the dead man's switch, if there is one, that a job went well: a dead bot cannot report itself."""
    if app.settings.heartbeat_url:
        http.beat(app.settings.heartbeat_url)


def technical(app: App, kind: str, subject_id: str, key: str, details: dict[str, Any]) -> list[Message]:
    """Return a message for the technical chat, or for the admins where there is none.

    Without any recipient it is enqueued all the same: `notice list` shows it.
    """
    chat = app.settings.tech_chat_id
    if chat:
        return [Message(TECH, kind, subject_id, key, details, to=chat)]
    return admins(app, kind, subject_id, key, details)


def admins(app: App, kind: str, subject_id: str, key: str, details: dict[str, Any]) -> list[Message]:
    """Return a message for each admin."""
    people: tuple[int | None, ...] = app.settings.admin_ids or (None,)
    return [Message(ADMIN, kind, subject_id, key, details, to=each) for each in people]


def everybody(app: App, kind: str, subject_id: str, key: str, details: dict[str, Any]) -> list[Message]:
    """Return a message for the technical chat and one for each admin."""
    found = technical(app, kind, subject_id, key, details)
    return found + (admins(app, kind, subject_id, key, details) if app.settings.tech_chat_id else [])
