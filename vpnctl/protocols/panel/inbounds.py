"""What a 3x-ui panel says of its inbounds: who is in them, and how they look to clients.

Source: MHSanaei/3x-ui, database/model and web/service (v2.9.4 and v3.6.0). Up to 3.0 the settings of an inbound are
JSON in a string, from 3.1 on they are nested.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vpnctl.errors import InvalidInput
from vpnctl.protocols import keypair
from vpnctl.protocols.xray import outside
from vpnctl.protocols.xray.outside import Outside
from vpnctl.rules import grammar
from vpnctl.rules.grammar import MAX_PORT
from vpnctl.rules.observed import SeenPeer, counter
from vpnctl.rules.secret import Secret

KEEPER = "vpnctl-keep-"
"""Begins the name of a client that may not connect and keeps an inbound from being empty."""
_BYTES = {"2022-blake3-aes-128-gcm": 16, "2022-blake3-aes-256-gcm": 32}
"""Methods of Shadowsocks with a key per person: how long that is. Others take any password."""
_OLD_METHODS = ("aes-256-gcm", "aes-128-gcm", "chacha20-poly1305", "chacha20-ietf-poly1305", "xchacha20-poly1305")
_IDENTITY = 44
_HELD = {outside.TROJAN: "password", outside.SHADOWSOCKS: "password"}


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
    try:
        return [_inbound(each) for each in found]
    except InvalidInput:
        raise ValueError("an address that is none") from None


def held(scheme: str) -> str:
    """Return the name of the field that holds a client's secret."""
    return _HELD.get(scheme, "id")


def secret_of(options: Mapping[str, Any], shared: Secret) -> Secret:
    """Return what a person's UUID is on an inbound of these options."""
    size = _BYTES.get(options["method"])
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
    settings, stream = _object(found.get("settings")), _object(found.get("streamSettings"))
    if not 0 <= found["port"] <= MAX_PORT:
        raise ValueError("a port that is none")
    listed = settings.get("clients") if protocol in outside.SCHEMES else None
    clients = {
        identity_of(each["email"]): each
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict) and isinstance(each.get("email"), str) and each["email"]
    }
    why_not, look = _look(protocol, settings, stream)
    own = settings.get("password")
    return Inbound(
        found["id"],
        found["port"],
        found.get("enable") is True,
        protocol,
        nested,
        clients,
        _peers(protocol, clients, found.get("clientStats")),
        {} if look is None else {"inbound": found["id"], **_options(look), **_dialled(stream)},
        Secret(own) if isinstance(own, str) and own and look is not None and look.method in _BYTES else None,
        why_not,
    )


def _object(value: object) -> dict[str, Any]:
    """Return settings of an inbound, whichever way this generation writes them."""
    if isinstance(value, str):
        value = json.loads(value) if value else {}
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("settings that are none")
    return value


def _peers(protocol: str, clients: Mapping[str, Mapping[str, Any]], stats: object) -> dict[str, SeenPeer]:
    rows = {
        identity_of(each["email"]): each
        for each in (stats if isinstance(stats, list) else [])
        if isinstance(each, dict) and isinstance(each.get("email"), str)
    }
    peers = {}
    for identity, client in clients.items():
        if identity.startswith(KEEPER):
            continue
        row, secret = rows.get(identity, {}), client.get(held(protocol))
        peers[identity] = SeenPeer(
            identity,
            Secret(secret) if isinstance(secret, str) and secret else None,
            frozenset(),
            _seconds(row.get("lastOnline")),
            _count(row.get("up")),
            _count(row.get("down")),
            enabled=client.get("enable") is True and row.get("enable", True) is True,
            limited=bool(client.get("totalGB") or client.get("expiryTime")),
        )
    return peers


def _seconds(milliseconds: object) -> int | None:
    """When somebody was last online; None where the panel does not tell, or never saw them."""
    if not isinstance(milliseconds, int) or isinstance(milliseconds, bool) or milliseconds <= 0:
        return None
    return milliseconds // 1000


def _count(value: object) -> int:
    return counter(str(value)) if isinstance(value, int) and not isinstance(value, bool) else 0


def _look(protocol: str, settings: dict[str, Any], stream: dict[str, Any]) -> tuple[str, Outside | None]:
    """Return (why we leave it alone, how it looks to clients); one of them is empty."""
    if protocol not in outside.SCHEMES:
        return f"its protocol is {protocol[:20]}", None
    if protocol == outside.SHADOWSOCKS:
        method = str(settings.get("method", ""))
        if method not in _BYTES and method not in _OLD_METHODS:
            return f"its method {method[:40]} has no people", None
        own = settings.get("password")
        return "", Outside(protocol, method=method, password=Secret(str(own)) if method in _BYTES else None)
    if settings.get("decryption", "none") not in ("none", ""):
        return "its people encrypt in a way that vpnctl does not speak", None
    network = {"raw": outside.TCP, "splithttp": outside.XHTTP}.get(stream.get("network", ""), stream.get("network"))
    guard = stream.get("security") or outside.NONE
    if network not in outside.NETWORKS or guard not in outside.GUARDS:
        return f"its way is {str(network)[:20]} with {str(guard)[:20]}", None
    own = _object(stream.get(f"{network}Settings") or stream.get(f"{stream.get('network')}Settings"))
    if network == outside.TCP and _object(own.get("header")).get("type", "none") != "none":
        return "its connections pretend to be HTTP", None
    face = _face(guard, stream)
    if face is None:
        return f"its settings of {guard} lack what clients need", None
    vision = protocol == outside.VLESS and network == outside.TCP and guard != outside.NONE
    path = own.get("serviceName") if network == outside.GRPC else own.get("path")
    where: dict[str, Any] = {"path": str(path or ("/" if network not in (outside.TCP, outside.GRPC) else ""))}
    where["host"] = str(own.get("host") or _object(own.get("headers")).get("Host") or "")
    where |= face
    return "", Outside(protocol, network, guard, **where, flow=outside.VISION if vision else "")


def _face(guard: str, stream: dict[str, Any]) -> dict[str, str] | None:
    """Return what clients need for TLS or REALITY; None where the panel does not say it."""
    if guard == outside.NONE:
        return {}
    set_to = _object(stream.get(f"{guard}Settings"))
    more = _object(set_to.get("settings"))
    fingerprint = str(more.get("fingerprint") or set_to.get("fingerprint") or "chrome")
    if guard == outside.TLS:
        return {"server_name": str(set_to.get("serverName") or ""), "fingerprint": fingerprint}
    names, ids = set_to.get("serverNames"), set_to.get("shortIds")
    key = more.get("publicKey") or _public(set_to.get("privateKey"))
    if not (isinstance(names, list) and names and isinstance(ids, list) and ids and isinstance(key, str) and key):
        return None
    face = {"server_name": str(more.get("serverName") or names[0]), "fingerprint": fingerprint}
    return {**face, "public_key": key, "short_id": str(ids[0])}


def _public(private: object) -> str | None:
    """Return the public key of REALITY's private one; both base64url without padding."""
    try:
        raw = base64.urlsafe_b64decode(f"{private}==")
        return base64.urlsafe_b64encode(keypair.public(raw)).decode().rstrip("=")
    except ValueError:
        return None


def _options(look: Outside) -> dict[str, Any]:
    names = (
        "scheme", "network", "guard", "server_name", "fingerprint", "public_key", "short_id", "path", "host", "flow",
        "method",
    )  # fmt: skip
    return {name: getattr(look, name) for name in names}


def _dialled(stream: dict[str, Any]) -> dict[str, Any]:
    """Return where clients connect where that is not the server itself (`externalProxy`)."""
    ways = stream.get("externalProxy")
    way = ways[0] if isinstance(ways, list) and ways and isinstance(ways[0], dict) else {}
    host, port = way.get("dest"), way.get("port")
    if not (isinstance(host, str) and host and isinstance(port, int) and 0 < port <= MAX_PORT):
        return {"dial_host": "", "dial_port": 0}
    found: dict[str, Any] = {"dial_host": grammar.host(host), "dial_port": port}
    if way.get("forceTls") == outside.TLS and stream.get("security") in (None, "", outside.NONE):
        found |= {"guard": outside.TLS, "server_name": host, "fingerprint": "chrome"}
    elif way.get("forceTls") == outside.NONE:
        found |= {"guard": outside.NONE, "server_name": "", "fingerprint": ""}
    return found
