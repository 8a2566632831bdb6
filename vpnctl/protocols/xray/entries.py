"""A device on Xray as one entry of what other apps read. Formats: sing-box 1.13, mihomo 1.19."""

from __future__ import annotations

from typing import Any

from vpnctl.protocols.interface import ClientKind, EndpointSpec, Entry, PeerSpec
from vpnctl.protocols.xray import links, options, server
from vpnctl.protocols.xray.options import XrayOptions


def entry(kind: ClientKind, endpoint: EndpointSpec, public_host: str, peer: PeerSpec) -> Entry | None:
    """Return the entry; None where the app cannot carry it."""
    set_to = XrayOptions(**endpoint.options)
    if kind in (ClientKind.LINKS, ClientKind.AMNEZIA):
        return links.link(endpoint, public_host, peer, peer.title).reveal()
    if kind is ClientKind.XRAY:
        return {"tag": peer.title, **links.outbound(endpoint, public_host, peer, set_to)}
    if set_to.inbound == options.XHTTP:
        return None
    made = _sing_box if kind is ClientKind.SING_BOX else _mihomo
    return made(endpoint, public_host, peer, set_to)


def _sing_box(endpoint: EndpointSpec, public_host: str, peer: PeerSpec, set_to: XrayOptions) -> dict[str, Any]:
    kind, secret = _kind(set_to), links.credentials(set_to, peer)
    found: dict[str, Any] = {"type": kind, "tag": peer.title, "server": public_host, "server_port": endpoint.port}
    if kind == "shadowsocks":
        return {**found, "method": server.METHOD, "password": f"{server.server_password(endpoint).reveal()}:{secret}"}
    found |= {"password": secret} if kind == "trojan" else {"uuid": secret}
    found |= {"security": "auto"} if kind == "vmess" else {}
    found |= {"flow": "xtls-rprx-vision"} if set_to.flows else {}
    if set_to.path:
        found["transport"] = {"type": "ws", "path": set_to.path}
    if set_to.server_name:
        face = {"enabled": True, "server_name": set_to.server_name}
        found["tls"] = {**face, "utls": {"enabled": True, "fingerprint": set_to.fingerprint}}
    if set_to.borrows:
        own = {"public_key": server.url_form(endpoint.identity), "short_id": set_to.short_id}
        found["tls"]["reality"] = {"enabled": True, **own}
    return found


def _mihomo(endpoint: EndpointSpec, public_host: str, peer: PeerSpec, set_to: XrayOptions) -> dict[str, Any]:
    kind, secret = _kind(set_to), links.credentials(set_to, peer)
    found: dict[str, Any] = {
        "name": peer.title,
        "type": kind,
        "server": public_host,
        "port": endpoint.port,
        "udp": True,
    }
    if kind == "shadowsocks":
        password = f"{server.server_password(endpoint).reveal()}:{secret}"
        return {**found, "type": "ss", "cipher": server.METHOD, "password": password}
    found |= {"password": secret} if kind == "trojan" else {"uuid": secret}
    found |= {"alterId": 0, "cipher": "auto"} if kind == "vmess" else {}
    found |= {"flow": "xtls-rprx-vision"} if set_to.flows else {}
    found |= {"network": "ws", "ws-opts": {"path": set_to.path}} if set_to.path else {"network": "tcp"}
    if set_to.server_name:
        name = "sni" if kind == "trojan" else "servername"
        found |= {"tls": True, name: set_to.server_name, "client-fingerprint": set_to.fingerprint}
    if set_to.borrows:
        own = {"public-key": server.url_form(endpoint.identity), "short-id": set_to.short_id}
        found["reality-opts"] = own
    return found


def _kind(set_to: XrayOptions) -> str:
    if set_to.vmess:
        return "vmess"
    return {options.TROJAN: "trojan", options.SHADOWSOCKS: "shadowsocks"}.get(set_to.inbound, "vless")
