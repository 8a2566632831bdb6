"""Sending messages and files through Telegram's Bot API, and what its answers mean (core.telegram.org/bots/api)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from vpnctl.remote import http
from vpnctl.remote.http import Part
from vpnctl.rules.grammar import clean
from vpnctl.rules.secret import Secret

UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TOO_MANY, SERVER_ERROR = 401, 403, 404, 429, 500
LONGEST, CAPTION = 4096, 1024
"""Characters of one message, and of the text under a file."""
Keyboard = Sequence[Sequence[dict[str, str]]]
"""Rows of buttons, each with `text` and `callback_data` or `url`."""


class Fate(StrEnum):
    """What became of a message."""

    SENT = "sent"
    WAIT = "wait"
    """Too many messages: nothing more before `seconds` are over."""
    BLOCKED = "blocked"
    """The person blocked the bot, or is gone."""
    REFUSED = "refused"
    """Telegram will never take it."""
    ACCOUNT = "account"
    """Telegram does not know our token: nothing can be sent now, and it is not the message's fault."""
    MOVED = "moved"
    """The chat has another id now: `chat`."""
    LATER = "later"
    """Nobody answered, or Telegram is in trouble."""


@dataclass(frozen=True)
class Outcome:
    """What became of a message, and why."""

    fate: Fate
    why: str = ""
    seconds: int = 0
    chat: int = 0


@dataclass(frozen=True)
class Account:
    """The bot whose token we have."""

    api: str
    token: Secret


def send(account: Account, chat: int, text: str, keyboard: Keyboard = ()) -> Outcome:
    """Send plain text to a chat. Never raises for what the network or Telegram do; the token is in no text."""
    body: dict[str, Any] = {"chat_id": chat, "text": text[:LONGEST], "link_preview_options": {"is_disabled": True}}
    if keyboard:
        body["reply_markup"] = {"inline_keyboard": keyboard}
    return _call(account, "sendMessage", lambda url: http.post(url, body))


def document(account: Account, chat: int, part: Part, caption: str) -> Outcome:
    """Send a file to a chat; see `send`."""
    fields = {"chat_id": str(chat), "caption": caption[:CAPTION]}
    return _call(account, "sendDocument", lambda url: http.upload(url, fields, part))


def photo(account: Account, chat: int, part: Part, caption: str, before: str = "", code: str = "") -> Outcome:
    """Send a picture to a chat; see `send`. Where there is room, the caption ends with `code`, which a tap copies.

    `before` is said before that.
    """
    fields = {"chat_id": str(chat), "caption": caption[:CAPTION]}
    whole = f"{caption}\n\n{before}\n{code}"
    if code and _units(whole) <= CAPTION:
        entity = {"type": "code", "offset": _units(whole) - _units(code), "length": _units(code)}
        fields |= {"caption": whole, "caption_entities": json.dumps([entity])}
    return _call(account, "sendPhoto", lambda url: http.upload(url, fields, part))


def again(account: Account, chat: int, kind: str, file_id: str, caption: str, keyboard: Keyboard = ()) -> Outcome:
    """Send a file that Telegram has already; `kind` is `photo` or `document`. See `send`."""
    body: dict[str, Any] = {"chat_id": chat, kind: file_id, "caption": caption[:CAPTION]}
    if keyboard:
        body["reply_markup"] = {"inline_keyboard": keyboard}
    method = "sendPhoto" if kind == "photo" else "sendDocument"
    return _call(account, method, lambda url: http.post(url, body))


def _units(text: str) -> int:
    """Return the length of a text as Telegram counts it: UTF-16 code units."""
    return len(text.encode("utf-16-le")) // 2


def whoami(account: Account) -> tuple[str, Outcome]:
    """Return the bot's user name; empty where the outcome says why there is none."""
    found: dict[str, Any] = {}

    def ask(url: str) -> tuple[int, dict[str, Any]]:
        status, answer = http.post(url, {})
        found.update(answer)
        return status, answer

    outcome = _call(account, "getMe", ask)
    name = found.get("result", {}).get("username") if isinstance(found.get("result"), dict) else None
    return (name if isinstance(name, str) and name.isidentifier() else ""), outcome


def _call(account: Account, method: str, ask: Callable[[str], tuple[int, dict[str, Any]]]) -> Outcome:
    token = account.token.reveal()
    try:
        status, answer = ask(f"{account.api}/bot{token}/{method}")
    except OSError as error:
        return Outcome(Fate.LATER, clean(str(error)))
    return judge(status, answer, account.token)


def judge(status: Any, answer: Any, token: Secret) -> Outcome:
    """Return what an answer means; `status` is Telegram's own error code, or the HTTP status.

    Only Telegram's own words (JSON) count as a refusal: a page of some proxy in between does not.
    """
    answer = answer if isinstance(answer, dict) else {}
    code = status if isinstance(status, int) else SERVER_ERROR
    if answer.get("ok") is True:
        return Outcome(Fate.SENT)
    why = clean(hidden(str(answer.get("description") or f"status {code}"), token))
    told = answer.get("parameters")
    parameters: dict[str, Any] = told if isinstance(told, dict) else {}
    moved = parameters.get("migrate_to_chat_id")
    if isinstance(moved, int) and not isinstance(moved, bool) and 0 < -moved < 2**52:
        return Outcome(Fate.MOVED, why, chat=moved)
    if code == TOO_MANY:
        wait = parameters.get("retry_after")
        return Outcome(Fate.WAIT, why, wait if isinstance(wait, int) and 0 < wait < 86400 else 60)  # noqa: PLR2004
    if code >= SERVER_ERROR or answer.get("ok") is not False:
        return Outcome(Fate.LATER, why)
    fates = {UNAUTHORIZED: Fate.ACCOUNT, NOT_FOUND: Fate.ACCOUNT, FORBIDDEN: Fate.BLOCKED}
    return Outcome(fates.get(code, Fate.REFUSED), why)


def hidden(text: str, token: Secret) -> str:
    """Return a text without the token, whole or its secret part, however its colon is written."""
    whole = token.reveal()
    for part in (whole, whole.rpartition(":")[2]):
        text = text.replace(part, "***") if part else text
    return text


def keyboard_text(keyboard: Keyboard) -> str:
    """Return a keyboard as the JSON that forms carry."""
    return json.dumps({"inline_keyboard": keyboard}, ensure_ascii=False)
