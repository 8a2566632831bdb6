"""What the value of each setting must look like."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vpnctl.errors import InvalidInput
from vpnctl.payment_values import PAYMENTS
from vpnctl.rules import grammar
from vpnctl.rules.secret import Secret
from vpnctl.serving_values import SERVING


def parse(key: str, text: str) -> Any:
    """Return the typed value of a setting. Raises InvalidInput, which never quotes a secret."""
    numbers = {
        "parallel": ("number", 1, 256),
        "login_seconds": ("number of seconds", 5, 300),
        "migration_grace_hours": ("number of hours", 1, 720),
        "expiring_soon_hours": ("number of hours", 1, 720),
        "evacuate_devices": ("number of devices", 1, 100_000),
        "manual_accept_hours": ("number of hours", 0, 720),
        "manual_accept_daily": ("number of receipts", 1, 1000),
        "order_minutes": ("number of minutes", 30, 1380),
        "telegram_rate": ("number of messages", 1, 1000),
        "max_latency_ms": ("number of milliseconds", 0, 100_000),
        "min_throughput_mbit": ("number of Mbit/s", 0, 100_000),
    }
    if key in numbers:
        return grammar.whole(text, *numbers[key])
    words = {
        "client_secrets": ("store", "discard"),
        "log_format": ("text", "json"),
        "extend_once": ("no", "yes"),
        "approve_configs": ("no", "yes"),
        "strangers": ("apply", "refuse"),
        "pay_stars": ("no", "yes"),
        "persian_digits": ("no", "yes"),
        "persian_calendar": ("no", "yes"),
    }
    if key in words and words[key] == ("no", "yes"):
        text = _BOOLEANS.get(text.lower(), text)
    if key in words and text not in words[key]:
        raise InvalidInput(f"expected `{words[key][0]}` or `{words[key][1]}`")
    checks: dict[str, Callable[[str], Any]] = {
        "state_dir": _path,
        "key_file": _path,
        "metrics_file": lambda text: str(_path(text)) if text else "",
        "timezone": _zone,
        "database_url": _database,
        "extend_once": lambda text: text == "yes",
        "approve_configs": lambda text: text == "yes",
        "pay_stars": lambda text: text == "yes",
        "persian_digits": lambda text: text == "yes",
        "persian_calendar": lambda text: text == "yes",
        "support_contact": _contact,
        "bot_token": _token,
        "backup_folder": lambda text: _path(text) if text else None,
        "backup_sftp": lambda text: _sftp(text) if text else "",
        "backup_command": lambda text: str(_path(text)) if text else "",
        "dns_command": lambda text: str(_path(text)) if text else "",
        "xray_archive": lambda text: _archive(text) if text else "",
        "amneziawg_repository": lambda text: _repository(text) if text else "",
        "telegram_api_url": grammar.url,
        "heartbeat_url": lambda text: grammar.url(text) if text else "",
        "admin_ids": lambda text: tuple(
            grammar.telegram_chat(part.strip()) for part in text.split(",") if part.strip()
        ),
        "evacuate_to": lambda text: tuple(
            grammar.name(part.strip(), "node name") for part in text.split(",") if part.strip()
        ),
        "tech_chat_id": grammar.telegram_chat,
        **PAYMENTS,
        **SERVING,
    }
    return checks[key](text) if key in checks else text


_BOOLEANS = {"true": "yes", "on": "yes", "y": "yes", "yes": "yes", "false": "no", "off": "no", "n": "no", "no": "no"}
"""What YAML calls yes and no, 1.1 and 1.2."""


def _path(text: str) -> Path:
    if not text.startswith(("/", "~")):
        raise InvalidInput("expected an absolute path")
    path = Path(os.path.expanduser(text))
    if not path.is_absolute():
        raise InvalidInput("expected an absolute path; there is no such user")
    return path


def _sftp(text: str) -> str:
    where, _, fingerprint = " ".join(text.split()).partition(" ")
    target, slash, folder = where.partition("/")
    grammar.target(target)
    if not slash or not folder or not folder.isprintable():
        raise InvalidInput("expected USER@HOST[:PORT]/FOLDER SHA256:FINGERPRINT")
    return f"{where} {grammar.fingerprint(fingerprint)}"


def _database(text: str) -> str:
    if not text.startswith(("sqlite:////", "postgresql+psycopg://")):
        raise InvalidInput("expected sqlite:////absolute/path or postgresql+psycopg://…")
    return text


def _token(text: str) -> Secret:
    """The token never appears in a message, not even a wrong one."""
    if not grammar.BOT_TOKEN.fullmatch(text):
        raise InvalidInput("that is not a bot token", "as @BotFather shows it: digits, a colon, 30 or more characters")
    return Secret(text)


def _contact(text: str) -> str:
    """Return a page that opens a chat with an admin: Telegram's own for a name."""
    if re.fullmatch(r"@[A-Za-z][A-Za-z0-9_]{3,31}", text):
        return f"https://t.me/{text[1:]}"
    if text and not re.fullmatch(r"https://[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?:[:/?#][^\s@]{0,200})?", text, re.ASCII):
        raise InvalidInput("expected @NAME of Telegram or a URL with https://")
    return text


def _archive(text: str) -> str:
    if not re.fullmatch(r"(?:https?|file)://[^\s@]{1,400}#sha256=[0-9a-f]{64}", text, re.ASCII):
        raise InvalidInput("expected URL#sha256=HEX, with https://, http:// or file://, without a password")
    return text


def _repository(text: str) -> str:
    address = r"(?:https?|file)://[^\s@]{1,400}"
    if not re.fullmatch(rf"{address} {address} [0-9A-F]{{40}}", text, re.ASCII):
        raise InvalidInput("expected URL KEY_URL FINGERPRINT: URLs without a password, 40 hex digits in capitals")
    return text


def _zone(text: str) -> str:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(text)
        return text
    except (KeyError, ValueError, OSError):
        raise InvalidInput(f"'{grammar.clean(text)}' is not a time zone", "for example Europe/Berlin") from None
