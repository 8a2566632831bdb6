"""How an endpoint of Xray looks to its clients, whoever runs it: all that a link or a client's config says of it."""

from __future__ import annotations

from dataclasses import dataclass

from vpnctl.rules.secret import Secret

VLESS, VMESS, TROJAN, SHADOWSOCKS = "vless", "vmess", "trojan", "shadowsocks"
SCHEMES = (VLESS, VMESS, TROJAN, SHADOWSOCKS)
TCP, WS, XHTTP, GRPC, HTTPUPGRADE = "tcp", "ws", "xhttp", "grpc", "httpupgrade"
NETWORKS = (TCP, WS, XHTTP, GRPC, HTTPUPGRADE)
NONE, TLS, REALITY = "none", "tls", "reality"
GUARDS = (NONE, TLS, REALITY)
VISION = "xtls-rprx-vision"


@dataclass(frozen=True)
class Outside:
    """All that clients must have alike. Empty where its kind has no use for a value."""

    scheme: str
    network: str = TCP
    guard: str = NONE
    """What encrypts a connection before the scheme does."""
    server_name: str = ""
    """The name that clients ask for in the open."""
    fingerprint: str = ""
    public_key: str = ""
    """Of REALITY, base64url without padding."""
    short_id: str = ""
    path: str = ""
    """Of gRPC: the service's name."""
    host: str = ""
    """The Host header that clients send; empty: the address."""
    flow: str = ""
    method: str = ""
    """Of Shadowsocks."""
    password: Secret | None = None
    """The server's own part of Shadowsocks' password; None where the method has none."""


@dataclass(frozen=True)
class XrayClient:
    """One device: what it dials, what it shows there, and what its app calls that."""

    host: str
    port: int
    secret: str
    """Its UUID or password."""
    title: str
    outside: Outside

    @property
    def password(self) -> str:
        """The whole password of Shadowsocks."""
        own = self.outside.password
        return self.secret if own is None else f"{own.reveal()}:{self.secret}"
