"""A device on WireGuard as one entry of what other apps read. Formats: sing-box 1.13, mihomo 1.19."""

from __future__ import annotations

from typing import Any

from vpnctl.protocols.interface import ClientKind, EndpointSpec, PeerSpec
from vpnctl.protocols.wireguard.files import own_ips
from vpnctl.protocols.wireguard.options import Options
from vpnctl.rules.secret import Secret


def entry(
    kind: ClientKind, endpoint: EndpointSpec, public_host: str, peer: PeerSpec, secret: Secret | None
) -> dict[str, Any] | None:
    """Return the entry; None where the app cannot carry it, or the private key is not ours to give."""
    if secret is None:
        return None
    if kind is ClientKind.SING_BOX:
        return _sing_box(endpoint, public_host, peer, secret)
    return _mihomo(endpoint, public_host, peer, secret) if kind is ClientKind.MIHOMO else None


def _sing_box(endpoint: EndpointSpec, public_host: str, peer: PeerSpec, secret: Secret) -> dict[str, Any]:
    set_to = Options(**endpoint.options)
    far: dict[str, Any] = {
        "address": public_host,
        "port": endpoint.port,
        "public_key": endpoint.identity,
        "allowed_ips": set_to.allowed_ips.split(", "),
    }
    far |= {"pre_shared_key": peer.shared.reveal()} if peer.shared else {}
    far |= {"persistent_keepalive_interval": set_to.keepalive} if set_to.keepalive else {}
    return {
        "type": "wireguard",
        "tag": peer.title,
        "system": False,
        "mtu": set_to.mtu,
        "address": own_ips(peer),
        "private_key": secret.reveal(),
        "peers": [far],
    }


def _mihomo(endpoint: EndpointSpec, public_host: str, peer: PeerSpec, secret: Secret) -> dict[str, Any]:
    set_to = Options(**endpoint.options)
    found: dict[str, Any] = {
        "name": peer.title,
        "type": "wireguard",
        "server": public_host,
        "port": endpoint.port,
        "ip": peer.ipv4,
        "private-key": secret.reveal(),
        "public-key": endpoint.identity,
        "allowed-ips": set_to.allowed_ips.split(", "),
        "mtu": set_to.mtu,
        "udp": True,
    }
    found |= {"ipv6": peer.ipv6} if peer.ipv6 else {}
    found |= {"pre-shared-key": peer.shared.reveal()} if peer.shared else {}
    return found | ({"persistent-keepalive": set_to.keepalive} if set_to.keepalive else {})
