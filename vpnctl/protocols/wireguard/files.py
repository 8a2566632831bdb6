"""WireGuard's files: the server's, the client's, and our firewall rules for its interface.

Formats: wg(8), wg-quick(8); what clients import: the intersection of the Android, Apple and Windows parsers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from vpnctl.protocols.interface import AlienSpec, EndpointSpec, PeerSpec
from vpnctl.protocols.wireguard.options import Options
from vpnctl.rules.addresses import server_address
from vpnctl.rules.desired import File
from vpnctl.rules.grammar import network
from vpnctl.rules.secret import Secret


def options(endpoint: EndpointSpec) -> Options:
    """Return the options that hold on this node: without IPv6, an interface with such addresses would not come up."""
    values = dict(endpoint.options)
    return Options(**(values if endpoint.ipv6 else values | {"pool_v6": None}))


def own_addresses(endpoint: EndpointSpec) -> tuple[str, ...]:
    """Return the interface's own addresses with their prefix lengths."""
    set_to = options(endpoint)
    pools = {pool: network(pool) for pool in (set_to.pool_v4, set_to.pool_v6) if pool}
    own = {set_to.pool_v4: set_to.own_v4}
    return tuple(f"{own.get(text) or server_address(pool)}/{pool.prefixlen}" for text, pool in pools.items())


def server_file(path: str, endpoint: EndpointSpec, peers: Sequence[PeerSpec], aliens: Sequence[AlienSpec]) -> File:
    """Return the whole server side. `aliens` are nobody's: our probe first."""
    if endpoint.secret is None:
        raise ValueError("a server file needs the server's key")
    parts = [
        f"# vpnctl endpoint {endpoint.id}\n# Written by vpnctl: a change made here is overwritten.\n[Interface]\n"
        f"Address = {', '.join(own_addresses(endpoint))}\nMTU = {options(endpoint).mtu}\n"
        f"PrivateKey = {endpoint.secret.reveal()}\nListenPort = {endpoint.port}\n"
        + "".join(f"{line}\n" for line in options(endpoint).hooks)
    ]
    for peer in sorted(peers, key=lambda peer: peer.identity):
        psk = f"PresharedKey = {peer.shared.reveal()}\n" if peer.shared else ""
        parts.append(
            f"\n# peer {peer.id}\n[Peer]\nPublicKey = {peer.identity}\n{psk}AllowedIPs = {', '.join(own_ips(peer))}\n"
        )
    others = [("probe", each) for each in ([endpoint.probe] if endpoint.probe else [])]
    others += [("alien", each) for each in sorted(aliens, key=lambda alien: alien.identity)]
    for what, other in others:
        psk = f"PresharedKey = {other.shared.reveal()}\n" if other.shared else ""
        ips = f"AllowedIPs = {other.allowed_ips}\n" if other.allowed_ips else ""
        parts.append(f"\n# {what}\n[Peer]\nPublicKey = {other.identity}\n{psk}{ips}")
    shared = [*(peer.shared for peer in peers), *(other.shared for _, other in others)]
    secrets = (endpoint.secret, *(each for each in shared if each))
    return _file(path, "600", "".join(parts), secrets)


def own_ips(peer: PeerSpec) -> list[str]:
    """Return the addresses of a peer as networks of one."""
    return [f"{peer.ipv4}/32", *([f"{peer.ipv6}/128"] if peer.ipv6 else [])]


def client_text(endpoint: EndpointSpec, public_host: str, peer: PeerSpec, secret: Secret | None) -> Secret:
    """Return the client's .conf: only keys that every client imports, LF, `Key = Value`.

    Without a private key (the user keeps it) the line is left for the user to fill in, as a comment.
    """
    set_to = Options(**endpoint.options)
    key = f"PrivateKey = {secret.reveal()}" if secret else "# Put your own private key here:\n# PrivateKey = "
    host = f"[{public_host}]" if ":" in public_host else public_host
    lines = ["[Interface]", key, f"Address = {', '.join(own_ips(peer))}"]
    lines += [f"DNS = {set_to.dns}"] if set_to.dns else []
    lines += [f"MTU = {set_to.mtu}", "", "[Peer]", f"PublicKey = {endpoint.identity}"]
    lines += [f"PresharedKey = {peer.shared.reveal()}"] if peer.shared else []
    lines += [f"AllowedIPs = {set_to.allowed_ips}", f"Endpoint = {host}:{endpoint.port}"]
    lines += [f"PersistentKeepalive = {set_to.keepalive}"] if set_to.keepalive else []
    return Secret("\n".join(lines) + "\n")


def firewall_file(endpoint: EndpointSpec) -> File:
    """Return NAT and forwarding of one endpoint, loaded as a whole: delete and define in one nft transaction."""
    set_to = options(endpoint)
    link, table = endpoint.name, f"vpnctl_{endpoint.name}"
    isolate = f'\t\tiifname "{link}" oifname "{link}" drop\n' if set_to.isolation else ""
    nat6 = f'\t\tip6 saddr {set_to.pool_v6} oifname != "{link}" counter masquerade\n' if set_to.pool_v6 else ""
    text = (
        f"table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n"
        "\tchain forward {\n\t\ttype filter hook forward priority filter; policy accept;\n"
        f"{isolate}"
        f'\t\tiifname "{link}" tcp flags syn / syn,rst tcp option maxseg size set rt mtu\n'
        f'\t\toifname "{link}" tcp flags syn / syn,rst tcp option maxseg size set rt mtu\n'
        "\t}\n\tchain nat {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
        f'\t\tip saddr {set_to.pool_v4} oifname != "{link}" counter masquerade\n'
        f"{nat6}\t}}\n}}\n"
    )
    return _file(f"/etc/vpnctl/{link}.nft", "600", text)


def drop_in_path(name: str) -> str:
    """Return where `drop_in` is."""
    return f"/etc/systemd/system/vpnctl-firewall@{name}.service.d/docker.conf"


def drop_in(endpoint: EndpointSpec) -> File | None:
    """Rules of ours in the host's iptables: for the peers' packets, and for handshakes where those are dropped too.

    Docker keeps DOCKER-USER for rules such as ours; other hosts have but FORWARD. Both families, where there are two.
    """
    if endpoint.forward_rule not in ("docker", "iptables"):
        return None
    link, chain = endpoint.name, "DOCKER-USER" if endpoint.forward_rule == "docker" else "FORWARD"
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
        drop_in_path(link),
        "644",
        f"[Unit]\nAfter=docker.service netfilter-persistent.service iptables.service\n\n[Service]\n{add}{undo}",
    )


def _file(path: str, mode: str, text: str, secrets: tuple[Secret, ...] = ()) -> File:
    return File(path, mode, Secret(text), hashlib.sha256(text.encode()).hexdigest(), secrets)
