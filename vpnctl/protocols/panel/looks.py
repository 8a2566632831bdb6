"""How an inbound of a panel looks to clients, in our words; or why it is left alone.

Source: MHSanaei/3x-ui, frontend models and sub/subService.go (v2.9.4 and v3.6.0), which make links of the same.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from vpnctl.errors import InvalidInput
from vpnctl.protocols import keypair
from vpnctl.protocols.xray import outside
from vpnctl.protocols.xray.outside import Outside
from vpnctl.rules import grammar
from vpnctl.rules.grammar import MAX_PORT
from vpnctl.rules.secret import Secret

BYTES = {"2022-blake3-aes-128-gcm": 16, "2022-blake3-aes-256-gcm": 32}
"""Methods of Shadowsocks with a key per person: how long that is. Others take any password."""
NAMES = tuple(name for name in Outside.__dataclass_fields__ if name != "password")
"""What is kept of a look as options; the password is a secret."""
_OLD_METHODS = ("aes-256-gcm", "aes-128-gcm", "chacha20-poly1305", "chacha20-ietf-poly1305", "xchacha20-poly1305")


class _LeftAlone(Exception):  # noqa: N818
    """An inbound that we do not serve, and why."""


def seen_from_outside(
    protocol: str, settings: dict[str, Any], stream: dict[str, Any]
) -> tuple[str, Outside | None, dict[str, Any]]:
    """Return (why it is left alone, how it looks to clients, options of it); the first or the others are empty."""
    try:
        if protocol not in outside.SCHEMES:
            raise _LeftAlone(f"its protocol is {protocol[:20]}")
        if stream.get("finalmask"):
            raise _LeftAlone("its packets are masked in a way that vpnctl does not speak")
        made = _shadowsocks if protocol == outside.SHADOWSOCKS else _streamed
        look = made(protocol, settings, stream)
        return "", look, {**_options(look), **_dialled(stream)}
    except _LeftAlone as why:
        return str(why), None, {}
    except (ValueError, TypeError, InvalidInput):
        return "its settings are none that vpnctl knows", None, {}


def _shadowsocks(protocol: str, settings: dict[str, Any], stream: dict[str, Any]) -> Outside:
    if stream.get("network", "tcp") not in ("tcp", "raw") or stream.get("security", "none") not in ("", "none"):
        raise _LeftAlone("its Shadowsocks is inside something else")
    method = str(settings.get("method", ""))
    if method not in BYTES and method not in _OLD_METHODS:
        raise _LeftAlone(f"its method {method[:40]} has no people")
    own = settings.get("password")
    return Outside(protocol, method=method, password=Secret(str(own)) if method in BYTES else None)


def _streamed(protocol: str, settings: dict[str, Any], stream: dict[str, Any]) -> Outside:
    if settings.get("decryption", "none") not in ("none", ""):
        raise _LeftAlone("its people encrypt in a way that vpnctl does not speak")
    network = {"raw": outside.TCP, "splithttp": outside.XHTTP}.get(stream.get("network", ""), stream.get("network"))
    guard = stream.get("security") or outside.NONE
    if network not in outside.NETWORKS or guard not in outside.GUARDS:
        raise _LeftAlone(f"its way is {str(network)[:20]} with {str(guard)[:20]}")
    own = settings_of(stream.get(f"{network}Settings") or stream.get(f"{stream.get('network')}Settings"))
    if network == outside.TCP and settings_of(own.get("header")).get("type", "none") != "none":
        raise _LeftAlone("its connections pretend to be HTTP")
    if network == outside.XHTTP and not _plain_xhttp(own):
        raise _LeftAlone("its XHTTP has settings of its own")
    face = _face(guard, stream)
    if face is None:
        raise _LeftAlone(f"its settings of {guard} lack what clients need")
    vision = protocol == outside.VLESS and network == outside.TCP and guard != outside.NONE
    path = own.get("serviceName") if network == outside.GRPC else own.get("path")
    usual = "/" if network not in (outside.TCP, outside.GRPC) else ""
    where: dict[str, Any] = {"path": str(path or usual)}
    where["host"] = str(own.get("host") or settings_of(own.get("headers")).get("Host") or "")
    return Outside(protocol, network, guard, **where, **face, flow=outside.VISION if vision else "")


def _plain_xhttp(own: dict[str, Any]) -> bool:
    """Return whether clients that know its path alone can speak it."""
    usual = own.get("mode") in (None, "", "auto") and own.get("xPaddingBytes") in (None, "", "100-1000")
    return usual and not own.get("xPaddingObfsMode")


def _face(guard: str, stream: dict[str, Any]) -> dict[str, Any] | None:
    """Return what clients need for TLS or REALITY; None where the panel does not say it."""
    if guard == outside.NONE:
        return {}
    set_to = settings_of(stream.get(f"{guard}Settings"))
    more = settings_of(set_to.get("settings"))
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
    return {name: getattr(look, name) for name in NAMES}


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


def settings_of(value: object) -> dict[str, Any]:
    """Return settings of an inbound, whichever way this generation writes them."""
    if isinstance(value, str):
        value = json.loads(value) if value else {}
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("settings that are none")
    return value
