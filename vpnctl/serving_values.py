"""What the value of each setting of the serving processes must look like."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vpnctl.errors import InvalidInput
from vpnctl.rules import grammar
from vpnctl.serving_settings import Listen

_NATS = re.compile(r"(nats|tls)://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?")
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


def _nats(text: str) -> str:
    """Never quoted: an address may hold a password."""
    for each in filter(None, text.split(",")):
        if not _NATS.fullmatch(each.strip()):
            raise InvalidInput(
                "expected nats://HOST:PORT or tls://HOST:PORT, without a password", "use nats_credentials"
            )
    return text


def _file(text: str) -> Path:
    if not text.startswith("/"):
        raise InvalidInput("expected an absolute path")
    return Path(text)


def _updates(text: str) -> str:
    if text not in ("poll", "webhook"):
        raise InvalidInput("expected `poll` or `webhook`")
    return text


SERVING: dict[str, Callable[[str], Any]] = {
    "web_listen": _listen,
    "web_url": _url,
    "metrics_listen": lambda text: _listen(text) if text else None,
    "telegram_updates": _updates,
    "nats_url": _nats,
    "nats_credentials": lambda text: _file(text) if text else None,
    "nats_replicas": lambda text: grammar.whole(text, "number of servers", 1, 5),
    "nats_event_mib": lambda text: grammar.whole(text, "number of MiB", 16, 1_000_000),
}
