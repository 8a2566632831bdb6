"""From Telegram's JSON to what we listen to. Pure; whatever is not exactly as expected is not listened to.

Listened to are messages and buttons in private chats, from the person whose chat it is. Not: groups and channels,
anonymous admins, other bots, forwarded and edited messages, commands for another bot (facts SEC-04).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

LISTENED = ("message", "callback_query")
_MAX_ID = 2**52
_COMMAND = re.compile(r"/([a-z_]{1,32})(?:@([A-Za-z0-9_]{1,64}))?(?:\s+(.*))?", re.DOTALL)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_TEXT = 200


@dataclass(frozen=True)
class Incoming:
    """A command, a text or a pressed button. `sender` is the chat too: chats are private."""

    sender: int
    name: str
    language: str
    command: str = ""
    text: str = ""
    button: str = ""
    callback: str = ""
    """The id of the press, which wants an answer."""
    message: int | None = None
    """The message under which the button is, where it can still be edited."""


def read(raw: Any, bot_name: str) -> Incoming | None:
    """Return what an update says, or None where we do not listen."""
    if not isinstance(raw, dict):
        return None
    if isinstance(raw.get("message"), dict):
        return _message(raw["message"], bot_name)
    if isinstance(raw.get("callback_query"), dict):
        return _press(raw["callback_query"])
    return None


def _message(message: dict[str, Any], bot_name: str) -> Incoming | None:
    sender = _person(message.get("from"), message.get("chat"))
    foreign = ("sender_chat", "forward_origin", "forward_from", "forward_date", "via_bot", "is_automatic_forward")
    if sender is None or any(message.get(key) for key in foreign):
        return None
    text = message.get("text")
    if not isinstance(text, str):
        return Incoming(*sender)
    found = _COMMAND.fullmatch(text.strip()[:4096])
    if not text.startswith("/"):
        return Incoming(*sender, text=text[:MAX_TEXT])
    if found is None or (found[2] and found[2].lower() != bot_name.lower()):
        return None if found else Incoming(*sender)
    return Incoming(*sender, command=found[1], text=(found[3] or "").strip()[:MAX_TEXT])


def _press(query: dict[str, Any]) -> Incoming | None:
    message = query.get("message")
    if not isinstance(message, dict) or not isinstance(query.get("id"), str):
        return None
    sender = _person(query.get("from"), message.get("chat"))
    token = query.get("data")
    if sender is None or not isinstance(token, str):
        return None
    editable = _whole(message.get("message_id")) and bool(message.get("date"))
    button = token if _TOKEN.fullmatch(token) else "-"
    number = message["message_id"] if editable else None
    return Incoming(*sender, button=button, callback=query["id"][:64], message=number)


def _person(person: Any, chat: Any) -> tuple[int, str, str] | None:
    """Return (id, what they call themselves, language) of somebody in their own private chat."""
    if not isinstance(person, dict) or not isinstance(chat, dict) or person.get("is_bot") is True:
        return None
    number = person.get("id")
    if not _whole(number) or chat.get("type") != "private" or chat.get("id") != number:
        return None
    words = [person.get(key) for key in ("first_name", "last_name")]
    name = " ".join(word for word in words if isinstance(word, str))
    user_name = person.get("username")
    name += f" @{user_name}" if isinstance(user_name, str) else ""
    language = person.get("language_code")
    return int(str(number)), name[:200], language[:2].lower() if isinstance(language, str) else ""


def _whole(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 < number <= _MAX_ID


def update_id(raw: Any) -> int | None:
    """Return an update's number."""
    number = raw.get("update_id") if isinstance(raw, dict) else None
    return number if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**62 else None
