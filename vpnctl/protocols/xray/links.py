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

from vpnctl.protocols.interface import EndpointSpec, PeerSpec
from vpnctl.protocols.xray import options, server
from vpnctl.protocols.xray.options import XrayOptions
from vpnctl.rules.secret import Secret


def link(endpoint: EndpointSpec, public_host: str, peer: PeerSpec, title: str) -> Secret:
    """Return the link of a device; `title` is what the app shows."""
    set_to = XrayOptions(**endpoint.options)
    secret, name = credentials(set_to, peer), quote(title, safe="")
    at = f"{_host(public_host)}:{endpoint.port}"
    kind = set_to.inbound
    if kind == options.SHADOWSOCKS:
        held = f"{server.METHOD}:{quote(f'{server.server_password(endpoint).reveal()}:{secret}', safe='')}"
        return Secret(f"ss://{held}@{at}#{name}")
    query = urlencode(_parameters(endpoint, set_to), quote_via=quote)
    scheme = "trojan" if kind == options.TROJAN else "vmess" if set_to.vmess else "vless"
    return Secret(f"{scheme}://{secret}@{at}?{query}#{name}")


def old_vmess(endpoint: EndpointSpec, public_host: str, peer: PeerSpec, title: str) -> Secret | None:
    """Return the form of base64 that older apps read; None where it is not VMess. All values are texts."""
    set_to = XrayOptions(**endpoint.options)
    if not set_to.vmess:
        return None
    values = {
        "v": "2",
        "ps": title,
        "add": public_host,
        "port": str(endpoint.port),
        "id": credentials(set_to, peer),
        "aid": "0",
        "scy": "auto",
        "net": _network(set_to, raw="tcp"),
        "type": "none",
        "host": "",
        "path": set_to.path,
        "tls": "tls" if set_to.under_tls else "",
        "sni": set_to.server_name,
        "alpn": "",
        "fp": set_to.fingerprint,
    }
    return Secret(f"vmess://{base64.b64encode(json.dumps(values).encode()).decode()}")


def client_json(endpoint: EndpointSpec, public_host: str, peer: PeerSpec) -> Secret:
    """Return a config for the core on the person's machine: SOCKS on 127.0.0.1:10808, HTTP on 10809."""
    set_to = XrayOptions(**endpoint.options)
    listens = [
        {"listen": "127.0.0.1", "port": 10808, "protocol": "socks", "settings": {"udp": True}},
        {"listen": "127.0.0.1", "port": 10809, "protocol": "http"},
    ]
    whole = {
        "log": {"loglevel": "warning"},
        "inbounds": listens,
        "outbounds": [{"tag": "proxy", **outbound(endpoint, public_host, peer, set_to)}],
    }
    return Secret(json.dumps(whole, indent=2) + "\n")


def outbound(endpoint: EndpointSpec, public_host: str, peer: PeerSpec, set_to: XrayOptions) -> dict[str, Any]:
    """Return the outbound of a client's config. Source: Xray-core infra/conf."""
    secret, kind = credentials(set_to, peer), set_to.inbound
    at = {"address": public_host, "port": endpoint.port}
    if kind == options.SHADOWSOCKS:
        password = f"{server.server_password(endpoint).reveal()}:{secret}"
        one = {**at, "method": server.METHOD, "password": password}
        return {"protocol": "shadowsocks", "settings": {"servers": [one]}}
    stream = _client_stream(endpoint, set_to)
    if kind == options.TROJAN:
        return {"protocol": "trojan", "settings": {"servers": [{**at, "password": secret}]}, "streamSettings": stream}
    person: dict[str, Any] = {"id": secret}
    person |= {"security": "auto", "alterId": 0} if set_to.vmess else {"encryption": "none"}
    person |= {"flow": "xtls-rprx-vision"} if set_to.flows else {}
    protocol = "vmess" if set_to.vmess else "vless"
    return {"protocol": protocol, "settings": {"vnext": [{**at, "users": [person]}]}, "streamSettings": stream}


def _client_stream(endpoint: EndpointSpec, set_to: XrayOptions) -> dict[str, Any]:
    network = _network(set_to, raw="tcp")
    stream: dict[str, Any] = {"network": network}
    if set_to.path:
        stream[f"{network}Settings"] = {"path": set_to.path}
    if not (set_to.borrows or set_to.under_tls):
        return stream
    face = {"serverName": set_to.server_name, "fingerprint": set_to.fingerprint}
    if set_to.borrows:
        own = {"publicKey": server.url_form(endpoint.identity), "shortId": set_to.short_id, "spiderX": "/"}
        return {**stream, "security": "reality", "realitySettings": face | own}
    return {**stream, "security": "tls", "tlsSettings": face}


def _parameters(endpoint: EndpointSpec, set_to: XrayOptions) -> Mapping[str, str]:
    found = {"type": _network(set_to, raw="tcp")}
    if set_to.vmess:
        found["encryption"] = "auto"
    elif set_to.inbound != options.TROJAN:
        found["encryption"] = "none"
    found |= {"flow": "xtls-rprx-vision"} if set_to.flows else {}
    found["security"] = "reality" if set_to.borrows else "tls" if set_to.under_tls else "none"
    if set_to.server_name:
        found |= {"sni": set_to.server_name, "fp": set_to.fingerprint}
    if set_to.borrows:
        found |= {"pbk": server.url_form(endpoint.identity), "sid": set_to.short_id, "spx": "/"}
    found |= {"path": set_to.path} if set_to.path else {}
    found |= {"mode": "auto"} if set_to.inbound == options.XHTTP else {}
    return found


def _network(set_to: XrayOptions, raw: str) -> str:
    return {options.XHTTP: "xhttp", options.WS: "ws", options.VMESS_WS: "ws"}.get(set_to.inbound, raw)


def credentials(set_to: XrayOptions, peer: PeerSpec) -> str:
    """Return what a person shows to the endpoint, as the config has it."""
    if peer.shared is None:
        raise ValueError("a client needs its credentials")
    return server.secret_of(set_to.inbound, peer.shared).reveal()


def _host(public_host: str) -> str:
    return f"[{public_host}]" if ":" in public_host else public_host
