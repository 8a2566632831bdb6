"""From Telegram's JSON to what we listen to. Pure; whatever is not exactly as expected is not listened to.

Listened to are messages and buttons in private chats, from the person whose chat it is. Not: groups and channels,
anonymous admins, other bots, forwarded and edited messages, commands for another bot (facts SEC-04).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from vpnctl.rules.orders import Charge

LISTENED = ("message", "callback_query", "pre_checkout_query")
_MAX_ID = 2**52
_COMMAND = re.compile(r"/([a-z_]{1,32})(?:@([A-Za-z0-9_]{1,64}))?(?:\s+(.*))?", re.DOTALL)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_TEXT = 200


@dataclass(frozen=True)
class Attached:
    """A picture or a file that Telegram keeps. `key` is the same for the same file, whoever sends it."""

    kind: str
    file_id: str
    key: str


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
    moved: Charge | None = None
    attached: Attached | None = None


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
    if sender is None or any(message.get(key) for key in ("sender_chat", "via_bot", "is_automatic_forward")):
        return None
    attached = _attached(message)
    if attached is not None:  # a receipt may be forwarded from a bank's chat
        return Incoming(*sender, attached=attached)
    if any(message.get(key) for key in ("forward_origin", "forward_from", "forward_date")):
        return None
    moved = _moved(message)
    if moved is not None:
        return Incoming(*sender, moved=moved)
    text = message.get("text")
    if not isinstance(text, str):
        return Incoming(*sender)
    found = _COMMAND.fullmatch(text.strip()[:4096])
    if not text.startswith("/"):
        return Incoming(*sender, text=text[:MAX_TEXT])
    if found is None or (found[2] and found[2].lower() != bot_name.lower()):
        return None if found else Incoming(*sender)
    return Incoming(*sender, command=found[1], text=(found[3] or "").strip()[:MAX_TEXT])


def _moved(message: dict[str, Any]) -> Charge | None:
    """Return money that moved: the two messages are made by Telegram, and nobody can write them."""
    for name in ("successful_payment", "refunded_payment"):
        told = message.get(name)
        if isinstance(told, dict):
            amount, currency = told.get("total_amount"), told.get("currency")
            order, charge = told.get("invoice_payload"), told.get("telegram_payment_charge_id")
            texts = all(isinstance(each, str) and each for each in (currency, order, charge))
            if texts and isinstance(amount, int) and not isinstance(amount, bool) and 0 <= amount <= _MAX_ID:
                return Charge(
                    amount, str(currency)[:3], str(order)[:128], str(charge)[:200], name == "refunded_payment"
                )
    return None


def _attached(message: dict[str, Any]) -> Attached | None:
    photos, document = message.get("photo"), message.get("document")
    found = photos[-1] if isinstance(photos, list) and photos else document
    if not isinstance(found, dict):
        return None
    file_id, key = found.get("file_id"), found.get("file_unique_id")
    good = all(isinstance(each, str) and re.fullmatch(r"[\x21-\x7e]{1,200}", each) for each in (file_id, key))
    return Attached("document" if found is document else "photo", str(file_id), str(key)[:64]) if good else None


@dataclass(frozen=True)
class Asking:
    """Somebody is about to pay an invoice, and Telegram asks whether they may."""

    key: str
    payer: int
    order_id: str
    amount: int
    currency: str
    language: str


def asking(raw: Any) -> Asking | None:
    """Return the question before a payment that an update is, None for every other update."""
    query = raw.get("pre_checkout_query") if isinstance(raw, dict) else None
    if not isinstance(query, dict) or not isinstance(query.get("id"), str) or not isinstance(query.get("from"), dict):
        return None
    who, amount = query["from"].get("id"), query.get("total_amount")
    language = str(query["from"].get("language_code") or "")[:2].lower()
    payload, currency = str(query.get("invoice_payload"))[:128], str(query.get("currency"))[:3]
    known = isinstance(amount, int) and not isinstance(amount, bool)
    payer = int(str(who)) if _whole(who) else 0
    return Asking(query["id"][:64], payer, payload, int(str(amount)) if known else -1, currency, language)


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
