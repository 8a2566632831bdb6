"""WireGuard: keys, server and client files, and the meaning of `wg show IF dump`.

Formats: wg(8), wg-quick(8); what clients import: the intersection of the Android, Apple and Windows parsers.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import os
import socket
from collections.abc import Sequence

from vpnctl.errors import InvalidInput
from vpnctl.protocols.interface import AlienSpec, EndpointSpec, PeerSpec
from vpnctl.rules import grammar
from vpnctl.rules.addresses import server_address
from vpnctl.rules.desired import File, Identity, Link
from vpnctl.rules.observed import SeenPeer, SeenPsk
from vpnctl.rules.secret import Secret

_INTERFACE_FIELDS, _PEER_FIELDS = 4, 8
_COUNTER_LIMIT = 2**53
"""Nine petabytes; what a node counts beyond is a lie, and sums of many must fit the database."""


class WireGuard:
    """The plug-in; see `ProtocolPlugin`."""

    name = "wireguard"
    interface_prefix = "wg"
    default_port = 51820
    packages = (("wireguard-tools", "wg"), ("nftables", "nft"))
    tool = "wg"
    quick = "wg-quick"
    folder = "/etc/wireguard"

    def keypair(self) -> tuple[Secret, str]:
        """Return (private, public). The private key is clamped, so that the file and `wg show` agree."""
        raw = bytearray(os.urandom(32))
        raw[0] &= 248
        raw[31] = (raw[31] & 127) | 64
        return Secret(base64.b64encode(raw).decode()), public_key(bytes(raw))

    def psk(self) -> Secret:
        """Return 32 random bytes in base64."""
        return Secret(base64.b64encode(os.urandom(32)).decode())

    def link(
        self, endpoint: EndpointSpec, peers: Sequence[PeerSpec], aliens: Sequence[AlienSpec], cut: frozenset[str]
    ) -> Link:
        """Return the whole server side: config file, firewall file, live peers, unit."""
        live = {peer.public_key: Identity(peer.public_key, peer.psk, _own_ips(peer)) for peer in peers}
        live |= {alien.public_key: Identity(alien.public_key, alien.psk, _split(alien.allowed_ips)) for alien in aliens}
        ours = _probe(endpoint)
        live |= {each.public_key: Identity(each.public_key, each.psk, _split(each.allowed_ips)) for each in ours}
        config = _file(f"{self.folder}/{endpoint.interface}.conf", "600", self._server_text(endpoint, peers, aliens))
        firewall = _file(f"/etc/vpnctl/{endpoint.interface}.nft", "600", _firewall_text(endpoint))
        return Link(
            endpoint_id=endpoint.id,
            protocol=self.name,
            tool=self.tool,
            interface=endpoint.interface,
            port=endpoint.port,
            mtu=endpoint.mtu,
            public_key=endpoint.public_key,
            config=config,
            firewall=firewall,
            drop_in=_drop_in(endpoint),
            unit=f"{self.quick}@{endpoint.interface}.service",
            forward_rule=endpoint.forward_rule,
            peers=live,
            addresses=_own_addresses(endpoint),
            cut=cut,
            removed=endpoint.removed,
        )

    def _server_text(self, endpoint: EndpointSpec, peers: Sequence[PeerSpec], aliens: Sequence[AlienSpec]) -> str:
        if endpoint.private_key is None:
            raise ValueError("a server file needs the server's key")
        own = ", ".join(_own_addresses(endpoint))
        parts = [
            f"# vpnctl endpoint {endpoint.id}\n# Written by vpnctl: a change made here is overwritten.\n[Interface]\n"
            f"Address = {own}\nMTU = {endpoint.mtu}\n"
            f"PrivateKey = {endpoint.private_key.reveal()}\nListenPort = {endpoint.port}\n"
        ]
        for peer in sorted(peers, key=lambda peer: peer.public_key):
            psk = f"PresharedKey = {peer.psk.reveal()}\n" if peer.psk else ""
            ips = f"{peer.ipv4}/32" + (f", {peer.ipv6}/128" if peer.ipv6 else "")
            parts.append(f"\n# peer {peer.id}\n[Peer]\nPublicKey = {peer.public_key}\n{psk}AllowedIPs = {ips}\n")
        others = [("probe", each) for each in _probe(endpoint)]
        others += [("alien", each) for each in sorted(aliens, key=lambda alien: alien.public_key)]
        for what, other in others:
            psk = f"PresharedKey = {other.psk.reveal()}\n" if other.psk else ""
            ips = f"AllowedIPs = {other.allowed_ips}\n" if other.allowed_ips else ""
            parts.append(f"\n# {what}\n[Peer]\nPublicKey = {other.public_key}\n{psk}{ips}")
        return "".join(parts)

    def client_config(
        self, endpoint: EndpointSpec, public_host: str, peer: PeerSpec, private_key: Secret | None
    ) -> Secret:
        """Return the client's .conf: only keys that every client imports, LF, `Key = Value`.

        Without a private key (the user keeps it) the line is left for the user to fill in, as a comment.
        """
        key = (
            f"PrivateKey = {private_key.reveal()}"
            if private_key
            else "# Put your own private key here:\n# PrivateKey = "
        )
        own = f"{peer.ipv4}/32" + (f", {peer.ipv6}/128" if peer.ipv6 else "")
        host = f"[{public_host}]" if ":" in public_host else public_host
        lines = ["[Interface]", key, f"Address = {own}"]
        lines += [f"DNS = {endpoint.dns}"] if endpoint.dns else []
        lines += [f"MTU = {endpoint.mtu}", "", "[Peer]", f"PublicKey = {endpoint.public_key}"]
        lines += [f"PresharedKey = {peer.psk.reveal()}"] if peer.psk else []
        lines += [f"AllowedIPs = {endpoint.allowed_ips}", f"Endpoint = {host}:{endpoint.port}"]
        lines += [f"PersistentKeepalive = {endpoint.keepalive}"] if endpoint.keepalive else []
        return Secret("\n".join(lines) + "\n")

    def parse_dump(self, lines: Sequence[str]) -> tuple[str, int, dict[str, SeenPeer]]:
        """Return (public key, port, peers). The order of lines in a dump means nothing; the private key is masked."""
        rows = [line.split("\t") for line in lines]
        heads = [row for row in rows if len(row) == _INTERFACE_FIELDS]
        if len(heads) != 1:
            raise ValueError("not one line is about the interface itself")
        _, key, port, _ = heads[0]
        peers = {peer.key: peer for peer in (_dump_peer(row) for row in rows if row is not heads[0])}
        return "" if key == "(none)" else _key(key), int(port[:5]), peers


def _dump_peer(fields: list[str]) -> SeenPeer:
    if len(fields) != _PEER_FIELDS:
        raise ValueError(f"peer line with {len(fields)} fields")
    key, psk, _endpoint, allowed, handshake, rx, tx, _keepalive = fields
    return SeenPeer(
        key=_key(key),
        psk=_seen_psk(psk),
        allowed_ips=frozenset() if allowed == "(none)" else _seen_ips(allowed),
        handshake=_counter(handshake),
        rx=_counter(rx),
        tx=_counter(tx),
    )


def _seen_psk(text: str) -> Secret | SeenPsk | None:
    if text in tuple(SeenPsk):
        return SeenPsk(text)
    return None if text == "(none)" else Secret(_key(text))


def _key(text: str) -> str:
    try:
        return grammar.key(text)
    except InvalidInput:
        raise ValueError("a key that is none") from None


def _counter(text: str) -> int:
    """A node's number is taken as it is, or clamped into what every database can hold."""
    if not text.isascii() or not text.removeprefix("-").isdigit():
        raise ValueError("a counter that is not a number")
    return min(max(int(text[:24]), 0), _COUNTER_LIMIT)


def _probe(endpoint: EndpointSpec) -> tuple[AlienSpec, ...]:
    return (endpoint.probe,) if endpoint.probe else ()


def _own_addresses(endpoint: EndpointSpec) -> tuple[str, ...]:
    pools = [ipaddress.ip_network(pool) for pool in (endpoint.pool_v4, endpoint.pool_v6) if pool]
    return tuple(f"{server_address(pool)}/{pool.prefixlen}" for pool in pools)


def _own_ips(peer: PeerSpec) -> frozenset[str]:
    return frozenset({f"{peer.ipv4}/32"} | ({f"{peer.ipv6}/128"} if peer.ipv6 else set()))


def _seen_ips(text: str) -> frozenset[str]:
    """The tool prints networks in canonical form; only what is not is parsed, which is slow for 10,000 peers."""
    return frozenset(part if _plain(part) else str(ipaddress.ip_network(part)) for part in text.split(","))


def _plain(text: str) -> bool:
    """Return whether this is one host, as almost all are. Raises ValueError for what is no address."""
    host, _, prefix = text.partition("/")
    family, bits = (socket.AF_INET6, "128") if ":" in host else (socket.AF_INET, "32")
    try:
        socket.inet_pton(family, host)
    except OSError:
        raise ValueError("allowed IPs that are none") from None
    return prefix == bits


def _split(text: str) -> frozenset[str]:
    return frozenset(str(ipaddress.ip_network(part.strip(), strict=False)) for part in text.split(",") if part.strip())


def _file(path: str, mode: str, text: str) -> File:
    return File(path, mode, Secret(text), hashlib.sha256(text.encode()).hexdigest())


def _firewall_text(endpoint: EndpointSpec) -> str:
    """NAT and forwarding of one endpoint, loaded as a whole: delete and define in one nft transaction."""
    link, table = endpoint.interface, f"vpnctl_{endpoint.interface}"
    isolate = f'\t\tiifname "{link}" oifname "{link}" drop\n' if endpoint.isolation else ""
    nat6 = f'\t\tip6 saddr {endpoint.pool_v6} oifname != "{link}" counter masquerade\n' if endpoint.pool_v6 else ""
    return (
        f"table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n"
        "\tchain forward {\n\t\ttype filter hook forward priority filter; policy accept;\n"
        f"{isolate}"
        f'\t\tiifname "{link}" tcp flags syn / syn,rst tcp option maxseg size set rt mtu\n'
        f'\t\toifname "{link}" tcp flags syn / syn,rst tcp option maxseg size set rt mtu\n'
        "\t}\n\tchain nat {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
        f'\t\tip saddr {endpoint.pool_v4} oifname != "{link}" counter masquerade\n'
        f"{nat6}\t}}\n}}\n"
    )


def _drop_in(endpoint: EndpointSpec) -> File | None:
    """Rules of ours in the host's iptables: for the peers' packets, and for handshakes where those are dropped too.

    Docker keeps DOCKER-USER for rules such as ours; other hosts have but FORWARD. Both families, where there are two.
    """
    if endpoint.forward_rule not in ("docker", "iptables"):
        return None
    link, chain = endpoint.interface, "DOCKER-USER" if endpoint.forward_rule == "docker" else "FORWARD"
    wanted = [f"{chain} -{way} {link} -j ACCEPT" for way in ("i", "o")]
    wanted += [f"INPUT -p udp --dport {endpoint.port} -j ACCEPT"] if chain == "FORWARD" else []
    add = "".join(
        f"{what}=-/bin/sh -c '{tool} -w -C {rule} 2>/dev/null || {tool} -w -I {rule}'\n"
        for what in ("ExecStartPost", "ExecReload")
        for tool in ("iptables", "ip6tables")
        for rule in wanted
    )
    undo = "".join(
        f"ExecStop=-/bin/sh -c '{tool} -w -D {rule}'\n" for tool in ("iptables", "ip6tables") for rule in wanted
    )
    return _file(
        f"/etc/systemd/system/vpnctl-firewall@{link}.service.d/docker.conf",
        "644",
        f"[Unit]\nAfter=docker.service netfilter-persistent.service iptables.service\n\n[Service]\n{add}{undo}",
    )


def public_key(private: bytes) -> str:
    """Return the public key of a raw private key, in base64."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return base64.b64encode(X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()).decode()


PLUGIN = WireGuard()
