"""A change set is a value: what is wanted, what was found, and the difference."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import ip_interface

from vpnctl.rules import firewall
from vpnctl.rules.grammar import Network, network
from vpnctl.rules.path import PathCode, SeenPath, Ways, fitting_mtu, path_words
from vpnctl.rules.secret import Secret


@dataclass(frozen=True)
class File:
    """A whole file as it must be on the node. `text` may hold keys; `mode` is octal text such as `600`."""

    path: str
    mode: str
    text: Secret
    digest: str
    """sha256 of the text, hex."""


@dataclass(frozen=True)
class Identity:
    """One peer as the node's live state must have it."""

    key: str
    psk: Secret | None
    allowed_ips: frozenset[str]


@dataclass(frozen=True)
class Link:
    """One endpoint as it must be on the node."""

    endpoint_id: str
    protocol: str
    tool: str
    interface: str
    port: int
    mtu: int
    public_key: str
    config: File
    firewall: File
    drop_in: File | None
    """Extra lines for our firewall unit on hosts whose own firewall drops what is forwarded."""
    unit: str
    forward_rule: str
    """`none`, `docker`, `ufw` or `iptables`: whose firewall on the host must let our packets pass."""
    peers: dict[str, Identity]
    addresses: tuple[str, ...]
    """The interface's own addresses with their prefix lengths; each brings the route to its network."""
    cut: frozenset[str]
    """Keys of ours that must not be there."""
    removed: bool = False

    @property
    def routes(self) -> tuple[str, ...]:
        """The networks whose packets must find the interface."""
        return tuple(str(ip_interface(each).network) for each in self.addresses)


@dataclass(frozen=True)
class Desired:
    """What one node must look like."""

    links: tuple[Link, ...]
    system_files: tuple[File, ...]
    packages: tuple[tuple[str, str], ...]
    """(Debian package, program that it brings); what counts is that the program is there."""
    sealed: tuple[str, ...] = ()
    """Devices (`user/device`) whose secrets do not open: they are left out, and named."""


class SeenPsk(StrEnum):
    """A preshared key that the node did not name: it was compared with our file there."""

    SAME = "(same)"
    OTHER = "(other)"


@dataclass(frozen=True)
class SeenPeer:
    """One peer as the node shows it. Counters: bytes, as the node counts. Handshake: Unix seconds, 0 = never."""

    key: str
    psk: Secret | SeenPsk | None
    """The key itself only of a peer that our file on the node does not know; None: it has none."""
    allowed_ips: frozenset[str]
    handshake: int
    rx: int
    tx: int


@dataclass(frozen=True)
class SeenLink:
    """One interface as the node shows it."""

    public_key: str
    port: int
    mtu: int
    peers: dict[str, SeenPeer]
    index: int = 0
    """The interface's index: another one means that it was made anew and its counters began at zero."""
    filed: frozenset[str] = frozenset()
    """Keys that stand in the file there but are not live."""
    up: bool = True
    addresses: frozenset[str] = frozenset()
    routes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Observed:
    """What one node was read to be."""

    token: str
    boot_id: str
    clock: int
    """The node's own clock, Unix seconds."""
    files: dict[str, tuple[str, str]]
    """Path -> (sha256 hex, mode); a missing file has no entry."""
    units: frozenset[str]
    """Units that are enabled. Whether they run is seen by what they bring: the interface, the firewall table."""
    links: dict[str, SeenLink]
    read_at: datetime
    """Our own clock when the reading began, in the operator's zone."""
    facts: dict[str, str] = field(default_factory=dict)
    ways: Ways | None = None
    paths: dict[str, tuple[SeenPath, ...]] = field(default_factory=dict)
    """Interface -> what the packet test found; none where it was not asked for."""

    @property
    def ipv6(self) -> bool:
        """Whether the node's kernel does IPv6 at all."""
        return self.facts.get("ipv6") != "off"


@dataclass(frozen=True)
class Change:
    """One difference between wanted and found. `kind` is one of the drift classes or a system step."""

    kind: str
    subject: str
    detail: str = ""
    scope: str = "people"
    """`people` changes are made by every settle; `system` ones only by provision and sync."""
    advice: str = ""
    """What to type where vpnctl does not mend it by itself; then it is reported and not made."""

    @property
    def mends(self) -> bool:
        """Whether settling makes this change."""
        return not self.advice

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}" + (f" ({self.detail})" if self.detail else "")


PEOPLE, SYSTEM = "people", "system"


def difference(desired: Desired, observed: Observed, aliens: Iterable[str] = (), node: str = "NAME") -> list[Change]:
    """Return what is not as it should be on `node`, in a stable order. Empty means: the node was seen to agree.

    Differences with an `advice` are not made by settling.
    """
    changes = [
        Change("package", name, "install", SYSTEM)
        for name, _ in desired.packages
        if observed.facts.get(f"pkg:{name}") != "yes"
    ]
    live = [value for name, value in observed.facts.items() if name.startswith("sysctl:")]
    if desired.packages and ("0" in live or not live):
        changes.append(Change("sysctl", "forwarding", "off", SYSTEM))
    changes += [change for file in desired.system_files for change in _file(file, observed, SYSTEM)]
    known = frozenset(aliens)
    for link in desired.links:
        changes += _gone(link, observed) if link.removed else _link(link, observed, known)
        if not link.removed and observed.ways is not None:
            changes += _ways(node, link, observed.ways)
        healed = any(change.mends for change in changes)
        advice = f"vpnctl node {'sync' if healed else 'provision'} {node}"
        changes += _paths(link, observed.paths.get(link.interface, ()), advice)
    if observed.ways is not None:
        changes += [
            Change("stale preload", each, "no such file", SYSTEM, "remove the line from /etc/ld.so.preload")
            for each in observed.ways.stale
        ]
    return changes


def _file(file: File, observed: Observed, scope: str) -> list[Change]:
    seen = observed.files.get(file.path)
    if seen is None:
        return [Change("write", file.path, "missing", scope)]
    if seen[0] != file.digest:
        return [Change("write", file.path, "differs", scope)]
    if seen[1] != file.mode:
        return [Change("write", file.path, f"mode {seen[1]} instead of {file.mode}", scope)]
    return []


def _gone(link: Link, observed: Observed) -> list[Change]:
    left = [path for path in (link.config.path, link.firewall.path) if path in observed.files]
    if link.interface in observed.links or left:
        return [Change("remove endpoint", link.interface, link.protocol)]
    return []


def _link(link: Link, observed: Observed, aliens: frozenset[str]) -> list[Change]:
    changes = [change for file in (link.firewall, link.drop_in) if file for change in _file(file, observed, SYSTEM)]
    changes += [
        Change("start unit", unit, "not enabled", SYSTEM)
        for unit in (link.unit, f"vpnctl-firewall@{link.interface}.service")
        if unit not in observed.units
    ]
    if observed.facts.get(f"nft:{link.interface}") != "yes":
        changes.append(Change("load firewall", link.interface, scope=SYSTEM))
    if link.forward_rule == "ufw" and observed.facts.get(f"ufw:{link.interface}") != "yes":
        changes.append(Change("open ufw", link.interface, f"port {link.port} and forwarding", SYSTEM))
    changes += _file(link.config, observed, PEOPLE)
    seen = observed.links.get(link.interface)
    if seen is None:
        return [*changes, Change("interface down", link.interface, "run: vpnctl node sync", SYSTEM)]
    changes += _carries(link, seen)
    if seen.port != link.port:
        changes.append(Change("parameter drift", link.interface, f"port {seen.port} instead of {link.port}"))
    if seen.mtu != link.mtu:
        changes.append(Change("parameter drift", link.interface, f"MTU {seen.mtu} instead of {link.mtu}"))
    file = observed.files.get(link.config.path)
    ours = file is not None and file[0] == link.config.digest
    return changes + _peers(link, seen, aliens, file_is_ours=ours)


def psk_differs(want: Secret | None, have: Secret | SeenPsk | None, *, file_is_ours: bool) -> bool:
    """Return whether a live preshared key is known to be another one than wanted.

    One that equals the file's is right where the file is; where it is not, the file is written anyway.
    """
    if isinstance(have, SeenPsk):
        return have is SeenPsk.OTHER or (file_is_ours and want is None)
    return want != have


def _peers(link: Link, seen: SeenLink, aliens: frozenset[str], *, file_is_ours: bool) -> list[Change]:
    missing = sorted(link.peers.keys() - seen.peers.keys())
    changes = [Change("missing peer", f"{link.interface} {key}", "add") for key in missing]
    for key in sorted(seen.peers.keys() - link.peers.keys()):
        if key in link.cut:
            changes.append(Change("stale peer", f"{link.interface} {key}", "remove"))
        elif key not in aliens:
            changes.append(Change("alien peer", f"{link.interface} {key}", "record, keep"))
    for key in sorted(link.peers.keys() & seen.peers.keys()):
        want, have = link.peers[key], seen.peers[key]
        if want.allowed_ips != have.allowed_ips:
            changes.append(Change("parameter drift", f"{link.interface} {key}", "allowed IPs"))
        elif psk_differs(want.psk, have.psk, file_is_ours=file_is_ours):
            changes.append(Change("parameter drift", f"{link.interface} {key}", "preshared key"))
    return changes


def _carries(link: Link, seen: SeenLink) -> list[Change]:
    """What an interface lacks to carry packets. Taken down, it has no routes either: that is all there is to say."""
    if not seen.up:
        return [Change("interface not up", link.interface, "set up")]
    changes = [Change("missing address", link.interface, each) for each in link.addresses if each not in seen.addresses]
    if not changes:
        changes = [Change("missing route", link.interface, each) for each in link.routes if each not in seen.routes]
    return changes


def _ways(node: str, link: Link, ways: Ways) -> list[Change]:
    """What else on the node keeps packets from passing, with what to type: vpnctl does not change it unasked."""
    again = f"vpnctl node provision {node}"
    found = [
        Change("blocked by firewall", link.interface, f"{each.what} {each.chain}", SYSTEM, again)
        for each in firewall.judge(ways.chains, link.interface, ways.wan, link.port, ways.lines)
    ]
    fits = fitting_mtu(ways)
    if fits is not None and link.mtu > fits:
        line = min(ways.lines.values())
        advice = f"vpnctl endpoint set {node} {link.interface} --mtu {fits}"
        found.append(Change("MTU too large", link.interface, f"{link.mtu}; the line carries {line}", SYSTEM, advice))
    own = [network(each) for each in link.routes]
    clash = next(
        ((dev, net) for dev, net in ways.networks if dev != link.interface and any(_takes(net, pool) for pool in own)),
        None,
    )
    if clash is not None:
        advice = f"vpnctl endpoint add {node} {link.protocol} --pool …, and move people there"
        found.append(Change("pool overlaps", link.interface, f"{clash[1]} on {clash[0]}", SYSTEM, advice))
    return found


def _takes(network: Network, pool: Network) -> bool:
    """Return whether a network draws packets of the pool away from us: a wider one does not."""
    return network.version == pool.version and network.prefixlen >= pool.prefixlen and network.overlaps(pool)


def _paths(link: Link, seen: Iterable[SeenPath], advice: str) -> list[Change]:
    return [
        Change("packets do not pass", link.interface, path_words(each), SYSTEM, advice)
        for each in seen
        if each.code is not PathCode.OK and each.code is not PathCode.BUSY
    ]
