"""What the value of each setting of the serving processes must look like."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from vpnctl.errors import InvalidInput
from vpnctl.rules import grammar
from vpnctl.serving_settings import Listen

_URL = re.compile(r"https://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|http://(127\.0\.0\.1|localhost)(:[0-9]{1,5})?")
"""Links are secrets: they travel in clear on this machine only."""


def _listen(text: str) -> Listen:
    host, colon, port = text.rpartition(":")
    if not colon:
        raise InvalidInput("expected ADDRESS:PORT", "127.0.0.1:8090, or [::1]:8090")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ":" in bare and bare == host:
        raise InvalidInput("an IPv6 address stands in brackets", "[::1]:8090")
    return Listen(str(grammar.address(bare)), grammar.port(port))


def _url(text: str) -> str:
    text = text.rstrip("/")
    if text and not _URL.fullmatch(text):
        raise InvalidInput("expected https://NAME, without a path")
    return text


def _updates(text: str) -> str:
    if text not in ("poll", "webhook"):
        raise InvalidInput("expected `poll` or `webhook`")
    return text


SERVING: dict[str, Callable[[str], Any]] = {
    "web_listen": _listen,
    "web_url": _url,
    "metrics_listen": lambda text: _listen(text) if text else None,
    "telegram_updates": _updates,
}
