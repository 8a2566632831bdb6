"""Sending a message through Telegram's Bot API, and what its answers mean (core.telegram.org/bots/api#sendmessage)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vpnctl.remote import http
from vpnctl.rules.grammar import clean
from vpnctl.rules.secret import Secret

TOO_MANY, FORBIDDEN, SERVER_ERROR = 429, 403, 500
LONGEST = 4096
"""Characters of one message."""


class Fate(StrEnum):
    """What became of a message."""

    SENT = "sent"
    WAIT = "wait"
    """Too many messages: nothing more before `seconds` are over."""
    BLOCKED = "blocked"
    """The person blocked the bot, or is gone."""
    REFUSED = "refused"
    """Telegram will never take it."""
    LATER = "later"
    """Nobody answered, or Telegram is in trouble."""


@dataclass(frozen=True)
class Outcome:
    """What became of a message, and why."""

    fate: Fate
    why: str = ""
    seconds: int = 0


def send(api: str, token: Secret, chat: int, text: str) -> Outcome:
    """Send plain text to a chat. Never raises for what the network or Telegram do; the token is in no text."""
    try:
        status, answer = http.post(
            f"{api}/bot{token.reveal()}/sendMessage",
            {"chat_id": chat, "text": text[:LONGEST], "disable_notification": False},
        )
    except OSError as error:
        return Outcome(Fate.LATER, clean(str(error)))
    if answer.get("ok") is True:
        return Outcome(Fate.SENT)
    why = clean(str(answer.get("description") or f"status {status}")).replace(token.reveal(), "***")
    if status == TOO_MANY:
        parameters = answer.get("parameters")
        wait = parameters.get("retry_after") if isinstance(parameters, dict) else None
        return Outcome(Fate.WAIT, why, wait if isinstance(wait, int) and 0 < wait < 86400 else 60)  # noqa: PLR2004
    if status == FORBIDDEN:
        return Outcome(Fate.BLOCKED, why)
    return Outcome(Fate.LATER if status >= SERVER_ERROR or not answer else Fate.REFUSED, why)
