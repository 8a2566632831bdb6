"""A device on Xray as one entry of what other apps read. Formats: sing-box 1.13, mihomo 1.19."""

from __future__ import annotations

from typing import Any

from vpnctl.protocols.interface import ClientKind, Entry
from vpnctl.protocols.xray import links, outside
from vpnctl.protocols.xray.outside import XrayClient


def entry(kind: ClientKind, client: XrayClient) -> Entry | None:
    """Return the entry; None where the app cannot carry it."""
    if kind in (ClientKind.LINKS, ClientKind.AMNEZIA):
        return links.link(client).reveal()
    if kind is ClientKind.XRAY:
        return {"tag": client.title, **links.outbound(client)}
    if client.outside.network == outside.XHTTP:
        return None
    return _sing_box(client) if kind is ClientKind.SING_BOX else _mihomo(client)


def _sing_box(client: XrayClient) -> dict[str, Any]:
    look = client.outside
    found: dict[str, Any] = {
        "type": look.scheme,
        "tag": client.title,
        "server": client.host,
        "server_port": client.port,
    }
    if look.scheme == outside.SHADOWSOCKS:
        return {**found, "method": look.method, "password": client.password}
    found |= {"password": client.secret} if look.scheme == outside.TROJAN else {"uuid": client.secret}
    found |= {"security": "auto"} if look.scheme == outside.VMESS else {}
    found |= {"flow": look.flow} if look.flow else {}
    if look.network == outside.GRPC:
        found["transport"] = {"type": "grpc", "service_name": look.path}
    elif look.network != outside.TCP:
        found["transport"] = {"type": look.network, "path": look.path} | _sing_box_host(client)
    if look.guard != outside.NONE:
        face = {"enabled": True, "server_name": look.server_name}
        found["tls"] = {**face, "utls": {"enabled": True, "fingerprint": look.fingerprint}}
    if look.guard == outside.REALITY:
        own = {"public_key": look.public_key, "short_id": look.short_id}
        found["tls"]["reality"] = {"enabled": True, **own}
    return found


def _sing_box_host(client: XrayClient) -> dict[str, Any]:
    host = client.outside.host
    if not host:
        return {}
    return {"host": host} if client.outside.network == outside.HTTPUPGRADE else {"headers": {"Host": host}}


def _mihomo(client: XrayClient) -> dict[str, Any]:
    look = client.outside
    found: dict[str, Any] = {
        "name": client.title,
        "type": look.scheme,
        "server": client.host,
        "port": client.port,
        "udp": True,
    }
    if look.scheme == outside.SHADOWSOCKS:
        return {**found, "type": "ss", "cipher": look.method, "password": client.password}
    found |= {"password": client.secret} if look.scheme == outside.TROJAN else {"uuid": client.secret}
    found |= {"alterId": 0, "cipher": "auto"} if look.scheme == outside.VMESS else {}
    found |= {"flow": look.flow} if look.flow else {}
    found |= _mihomo_network(client)
    if look.guard != outside.NONE:
        name = "sni" if look.scheme == outside.TROJAN else "servername"
        found |= {"tls": True, name: look.server_name, "client-fingerprint": look.fingerprint}
    if look.guard == outside.REALITY:
        own = {"public-key": look.public_key, "short-id": look.short_id}
        found["reality-opts"] = own
    return found


def _mihomo_network(client: XrayClient) -> dict[str, Any]:
    look = client.outside
    if look.network == outside.TCP:
        return {"network": "tcp"}
    if look.network == outside.GRPC:
        return {"network": "grpc", "grpc-opts": {"grpc-service-name": look.path}}
    own: dict[str, Any] = {"path": look.path} | ({"headers": {"Host": look.host}} if look.host else {})
    own |= {"v2ray-http-upgrade": True} if look.network == outside.HTTPUPGRADE else {}
    return {"network": "ws", "ws-opts": own}
