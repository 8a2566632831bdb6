"""What a 3x-ui panel says of its inbounds: who is in them, and how they look to clients.

Source: MHSanaei/3x-ui, database/model and web/service (v2.9.4 and v3.6.0). Up to 3.0 the settings of an inbound are
JSON in a string, from 3.1 on they are nested.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vpnctl.protocols.panel.looks import BYTES, seen_from_outside, settings_of
from vpnctl.protocols.xray import outside
from vpnctl.rules.grammar import MAX_PORT
from vpnctl.rules.observed import SeenPeer, counter
from vpnctl.rules.secret import Secret

KEEPER = "vpnctl-keep-"
"""Begins the name of a client that may not connect and keeps an inbound from being empty."""
_IDENTITY = 44
_HELD = {outside.TROJAN: "password", outside.SHADOWSOCKS: "password", "hysteria": "auth", "hysteria2": "auth"}
LIMIT, FLOW, TWICE = "a limit that is not ours", "flow", "its name twice"
"""What may be odd about a client, beside its switch."""
OURS = re.compile(r"p-[0-9a-f]{20}")
"""How the names begin and end that we give."""


@dataclass(frozen=True)
class Inbound:
    """One inbound as the panel shows it."""

    number: int
    port: int
    enabled: bool
    protocol: str
    nested: bool
    """Whether the panel is of a generation that has clients apart from inbounds (3.1 and later)."""
    clients: Mapping[str, Mapping[str, Any]]
    """Identity -> the client as the panel has it."""
    peers: Mapping[str, SeenPeer]
    options: Mapping[str, Any]
    """What clients must have alike; empty where `why_not` says why we leave it alone."""
    password: Secret | None
    """The server's own part of Shadowsocks' password."""
    why_not: str = ""


def read(found: object) -> list[Inbound]:
    """Return the inbounds in a panel's list. Raises ValueError for what no panel says."""
    if not isinstance(found, list):
        raise ValueError("a list that is none")
    kept = []
    for each in found:
        with contextlib.suppress(ValueError, RecursionError):  # one that makes no sense is as if it were not listed
            kept.append(_inbound(each))
    return kept


def held(scheme: str) -> str:
    """Return the name of the field that holds a client's secret."""
    return _HELD.get(scheme, "id")


def secret_of(options: Mapping[str, Any], shared: Secret) -> Secret:
    """Return what a person's UUID is on an inbound of these options."""
    size = BYTES.get(options["method"])
    if size is None:
        return shared
    return Secret(base64.b64encode(hashlib.sha256(shared.reveal().encode()).digest()[:size]).decode())


def identity_of(name: str) -> str:
    """Return what we call a client: its name on the panel, or one of a length that we can keep."""
    if len(name) <= _IDENTITY and name.isprintable():
        return name
    kept = "".join(letter for letter in name if letter.isprintable())[:32]
    return f"{kept}~{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _inbound(found: object) -> Inbound:
    if not isinstance(found, dict) or not isinstance(found.get("id"), int) or not isinstance(found.get("port"), int):
        raise ValueError("an inbound that is none")
    protocol = str(found.get("protocol"))
    nested = not isinstance(found.get("settings"), str)
    settings, stream = settings_of(found.get("settings")), settings_of(found.get("streamSettings"))
    if not 0 <= found["port"] <= MAX_PORT:
        raise ValueError("a port that is none")
    listed = settings.get("clients")
    rows = [
        each
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict) and isinstance(each.get("email"), str) and each["email"]
    ]
    clients = {identity_of(each["email"]): each for each in rows}
    why_not, look, seen = seen_from_outside(protocol, settings, stream)
    own = settings.get("password")
    return Inbound(
        found["id"],
        found["port"],
        found.get("enable") is True,
        protocol,
        nested,
        clients,
        _peers(protocol, rows, found.get("clientStats"), look.flow if look else ""),
        {"inbound": found["id"], **seen} if look else {},
        Secret(own) if isinstance(own, str) and own and look is not None and look.method in BYTES else None,
        why_not,
    )


def _peers(protocol: str, clients: Sequence[Mapping[str, Any]], stats: object, flow: str) -> dict[str, SeenPeer]:
    """Return the clients by identity. Of two with one name, both must be off to be off."""
    rows = {
        identity_of(each["email"]): each
        for each in (stats if isinstance(stats, list) else [])
        if isinstance(each, dict) and isinstance(each.get("email"), str)
    }
    peers: dict[str, SeenPeer] = {}
    for client in clients:
        identity = identity_of(client["email"])
        if identity.startswith(KEEPER):
            continue
        before = peers.get(identity)
        row, secret = rows.get(identity, {}), client.get(held(protocol))
        peers[identity] = SeenPeer(
            identity,
            Secret(secret) if isinstance(secret, str) and secret else None,
            frozenset(),
            _seconds(row.get("lastOnline")),
            _count(row.get("up")),
            _count(row.get("down")),
            enabled=(client.get("enable") is not False and row.get("enable", True) is not False)
            or (before is not None and before.enabled),
            switched_off=client.get("enable") is False and (before is None or before.switched_off),
            odd=_odd(protocol, client, flow) if before is None else TWICE,
        )
    return peers


def _odd(protocol: str, client: Mapping[str, Any], flow: str) -> str:
    if protocol == outside.VLESS and (client.get("flow") or "") != flow:
        return FLOW
    if client.get("totalGB") or client.get("expiryTime"):
        return LIMIT
    # The core takes a client without a switch for enabled.
    return "" if isinstance(client.get("enable"), bool) else "its switch"


def _seconds(milliseconds: object) -> int | None:
    """When somebody was last online; None where the panel does not tell, or never saw them."""
    if not isinstance(milliseconds, int) or isinstance(milliseconds, bool) or milliseconds <= 0:
        return None
    return milliseconds // 1000


def _count(value: object) -> int:
    return counter(str(value)) if isinstance(value, int) and not isinstance(value, bool) else 0
