"""What clients of Xray import: links, and a whole config for the core itself.

Sources: XTLS/Xray-core discussion 716 (vless://, vmess:// of the new form), v2rayN's wiki (vmess:// of base64), SIP002
and SIP022 (ss://), the clients' own parsers for trojan://.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from vpnctl.protocols.xray import outside
from vpnctl.protocols.xray.outside import Outside, XrayClient
from vpnctl.rules.secret import Secret


def link(client: XrayClient) -> Secret:
    """Return the link of a device."""
    look, name = client.outside, quote(client.title, safe="")
    at = f"{_host(client.host)}:{client.port}"
    if look.scheme == outside.SHADOWSOCKS:
        held = f"{look.method}:{quote(client.password, safe='')}"
        if look.password is None:  # SIP002: only the methods of 2022 are written without base64
            held = base64.urlsafe_b64encode(f"{look.method}:{client.secret}".encode()).decode().rstrip("=")
        return Secret(f"ss://{held}@{at}#{name}")
    query = urlencode(_parameters(look), quote_via=quote)
    return Secret(f"{look.scheme}://{client.secret}@{at}?{query}#{name}")


def forms(client: XrayClient) -> dict[str, Secret]:
    """Return by name what apps import: the link, the older form of VMess links, and a config for the core."""
    old = old_vmess(client)
    return {"link": link(client), **({"vmess": old} if old else {}), "json": client_json(client)}


def old_vmess(client: XrayClient) -> Secret | None:
    """Return the form of base64 that older apps read; None where it is not VMess. All values are texts."""
    look = client.outside
    if look.scheme != outside.VMESS:
        return None
    values = {
        "v": "2",
        "ps": client.title,
        "add": client.host,
        "port": str(client.port),
        "id": client.secret,
        "aid": "0",
        "scy": "auto",
        "net": look.network,
        "type": "none",
        "host": look.host,
        "path": look.path,
        "tls": "tls" if look.guard == outside.TLS else "",
        "sni": look.server_name,
        "alpn": "",
        "fp": look.fingerprint,
    }
    return Secret(f"vmess://{base64.b64encode(json.dumps(values).encode()).decode()}")


def client_json(client: XrayClient) -> Secret:
    """Return a config for the core on the person's machine: SOCKS on 127.0.0.1:10808, HTTP on 10809."""
    listens = [
        {"listen": "127.0.0.1", "port": 10808, "protocol": "socks", "settings": {"udp": True}},
        {"listen": "127.0.0.1", "port": 10809, "protocol": "http"},
    ]
    whole = {
        "log": {"loglevel": "warning"},
        "inbounds": listens,
        "outbounds": [{"tag": "proxy", **outbound(client)}],
    }
    return Secret(json.dumps(whole, indent=2) + "\n")


def outbound(client: XrayClient) -> dict[str, Any]:
    """Return the outbound of a client's config. Source: Xray-core infra/conf."""
    look = client.outside
    at = {"address": client.host, "port": client.port}
    if look.scheme == outside.SHADOWSOCKS:
        one = {**at, "method": look.method, "password": client.password}
        return {"protocol": "shadowsocks", "settings": {"servers": [one]}}
    stream = _client_stream(look)
    if look.scheme == outside.TROJAN:
        one = {**at, "password": client.secret}
        return {"protocol": "trojan", "settings": {"servers": [one]}, "streamSettings": stream}
    person: dict[str, Any] = {"id": client.secret}
    person |= {"security": "auto", "alterId": 0} if look.scheme == outside.VMESS else {"encryption": "none"}
    person |= {"flow": look.flow} if look.flow else {}
    return {"protocol": look.scheme, "settings": {"vnext": [{**at, "users": [person]}]}, "streamSettings": stream}


def _client_stream(look: Outside) -> dict[str, Any]:
    stream: dict[str, Any] = {"network": look.network}
    own = {"serviceName": look.path} if look.network == outside.GRPC else {"path": look.path} if look.path else {}
    own |= {"host": look.host} if look.host else {}
    stream |= {f"{look.network}Settings": own} if own else {}
    if look.guard == outside.NONE:
        return stream
    face = {"serverName": look.server_name, "fingerprint": look.fingerprint}
    if look.guard == outside.REALITY:
        more = {"publicKey": look.public_key, "shortId": look.short_id, "spiderX": "/"}
        return {**stream, "security": "reality", "realitySettings": face | more}
    return {**stream, "security": "tls", "tlsSettings": face}


def _parameters(look: Outside) -> Mapping[str, str]:
    found = {"type": look.network}
    if look.scheme == outside.VMESS:
        found["encryption"] = "auto"
    elif look.scheme == outside.VLESS:
        found["encryption"] = "none"
    found |= {"flow": look.flow} if look.flow else {}
    found["security"] = look.guard
    if look.server_name:
        found |= {"sni": look.server_name, "fp": look.fingerprint}
    if look.guard == outside.REALITY:
        found |= {"pbk": look.public_key, "sid": look.short_id, "spx": "/"}
    if look.path:
        found |= {"serviceName" if look.network == outside.GRPC else "path": look.path}
    found |= {"host": look.host} if look.host else {}
    found |= {"mode": "auto"} if look.network == outside.XHTTP else {}
    found |= {"mode": "gun"} if look.network == outside.GRPC else {}
    return found


def _host(public_host: str) -> str:
    return f"[{public_host}]" if ":" in public_host else public_host
