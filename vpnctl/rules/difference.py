"""The difference between what a node must look like and what it was read to be."""

from __future__ import annotations

from collections.abc import Iterable

from vpnctl.rules import firewall
from vpnctl.rules.changes import (
    AddressMissing,
    Change,
    EndpointLeft,
    FileDiffers,
    FirewallBlocks,
    ForwardingOff,
    InterfaceMissing,
    LinkDown,
    MtuTooLarge,
    PackageMissing,
    PacketsLost,
    ParameterDiffers,
    PeerAlien,
    PeerDiffers,
    PeerMissing,
    PeerStale,
    PoolOverlaps,
    PreloadStale,
    RouteMissing,
    RulesMissing,
    SystemFileDiffers,
    UfwClosed,
    UnitOff,
)
from vpnctl.rules.desired import Desired, File, Link
from vpnctl.rules.grammar import Network, network
from vpnctl.rules.observed import Observed, SeenLink, psk_differs
from vpnctl.rules.path import PathCode, SeenPath, Ways, fitting_mtu, path_words


def difference(desired: Desired, observed: Observed, aliens: Iterable[str] = (), node: str = "NAME") -> list[Change]:
    """Return what is not as it should be on `node`, in a stable order. Empty means: the node was seen to agree.

    Differences with an `advice` are not made by settling.
    """
    changes: list[Change] = [
        PackageMissing(name) for name, _ in desired.packages if observed.facts.get(f"pkg:{name}") != "yes"
    ]
    live = [value for name, value in observed.facts.items() if name.startswith("sysctl:")]
    if desired.packages and ("0" in live or not live):
        changes.append(ForwardingOff())
    changes += [change for file in desired.system_files for change in _file(file, observed, SystemFileDiffers)]
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
            PreloadStale(each, "no such file", "remove the line from /etc/ld.so.preload")
            for each in observed.ways.stale
        ]
    return changes


def _file(file: File, observed: Observed, kind: type[FileDiffers] = FileDiffers) -> list[Change]:
    seen = observed.files.get(file.path)
    if seen is None:
        return [kind(file.path, "missing")]
    if seen[0] != file.digest:
        return [kind(file.path, "differs")]
    if seen[1] != file.mode:
        return [kind(file.path, f"mode {seen[1]} instead of {file.mode}")]
    return []


def _gone(link: Link, observed: Observed) -> list[Change]:
    left = [path for path in (link.config.path, link.firewall.path) if path in observed.files]
    if link.interface in observed.links or left:
        return [EndpointLeft(link.interface, link.protocol)]
    return []


def _link(link: Link, observed: Observed, aliens: frozenset[str]) -> list[Change]:
    rules = [file for file in (link.firewall, link.drop_in) if file]
    changes: list[Change] = [change for file in rules for change in _file(file, observed, SystemFileDiffers)]
    changes += [
        UnitOff(unit) for unit in (link.unit, f"vpnctl-firewall@{link.interface}.service") if unit not in observed.units
    ]
    if observed.facts.get(f"nft:{link.interface}") != "yes":
        changes.append(RulesMissing(link.interface))
    if link.forward_rule == "ufw" and observed.facts.get(f"ufw:{link.interface}") != "yes":
        changes.append(UfwClosed(link.interface, link.port))
    changes += _file(link.config, observed)
    seen = observed.links.get(link.interface)
    if seen is None:
        return [*changes, InterfaceMissing(link.interface)]
    changes += _carries(link, seen)
    if seen.port != link.port:
        changes.append(ParameterDiffers(link.interface, f"port {seen.port} instead of {link.port}"))
    if seen.mtu != link.mtu:
        changes.append(ParameterDiffers(link.interface, f"MTU {seen.mtu} instead of {link.mtu}"))
    file = observed.files.get(link.config.path)
    ours = file is not None and file[0] == link.config.digest
    return changes + _peers(link, seen, aliens, file_is_ours=ours)


def _peers(link: Link, seen: SeenLink, aliens: frozenset[str], *, file_is_ours: bool) -> list[Change]:
    missing = sorted(link.peers.keys() - seen.peers.keys())
    changes: list[Change] = [PeerMissing(link.interface, key) for key in missing]
    for key in sorted(seen.peers.keys() - link.peers.keys()):
        if key in link.cut:
            changes.append(PeerStale(link.interface, key))
        elif key not in aliens:
            changes.append(PeerAlien(link.interface, key))
    for key in sorted(link.peers.keys() & seen.peers.keys()):
        want, have = link.peers[key], seen.peers[key]
        if want.allowed_ips != have.allowed_ips:
            changes.append(PeerDiffers(link.interface, key, "allowed IPs"))
        elif psk_differs(want.psk, have.psk, file_is_ours=file_is_ours):
            changes.append(PeerDiffers(link.interface, key, "preshared key"))
    return changes


def _carries(link: Link, seen: SeenLink) -> list[Change]:
    """What an interface lacks to carry packets. Taken down, it has no routes either: that is all there is to say."""
    if not seen.up:
        return [LinkDown(link.interface)]
    lost = [each for each in link.addresses if each not in seen.addresses]
    if lost:
        return [AddressMissing(link.interface, each) for each in lost]
    return [RouteMissing(link.interface, each) for each in link.routes if each not in seen.routes]


def _ways(node: str, link: Link, ways: Ways) -> list[Change]:
    """What else on the node keeps packets from passing, with what to type: vpnctl does not change it unasked."""
    again = f"vpnctl node provision {node}"
    found: list[Change] = [
        FirewallBlocks(link.interface, f"{each.what} {each.chain}", again)
        for each in firewall.judge(ways.chains, link.interface, ways.wan, link.port, ways.lines)
    ]
    fits = fitting_mtu(ways)
    if fits is not None and link.mtu > fits:
        line = min(ways.lines.values())
        advice = f"vpnctl endpoint set {node} {link.interface} --mtu {fits}"
        found.append(MtuTooLarge(link.interface, f"{link.mtu}; the line carries {line}", advice))
    own = [network(each) for each in link.routes]
    clash = next(
        ((dev, net) for dev, net in ways.networks if dev != link.interface and any(_takes(net, pool) for pool in own)),
        None,
    )
    if clash is not None:
        advice = f"vpnctl endpoint add {node} {link.protocol} --pool …, and move people there"
        found.append(PoolOverlaps(link.interface, f"{clash[1]} on {clash[0]}", advice))
    return found


def _takes(network: Network, pool: Network) -> bool:
    """Return whether a network draws packets of the pool away from us: a wider one does not."""
    return network.version == pool.version and network.prefixlen >= pool.prefixlen and network.overlaps(pool)


def _paths(link: Link, seen: Iterable[SeenPath], advice: str) -> list[Change]:
    return [
        PacketsLost(link.interface, path_words(each), advice)
        for each in seen
        if each.code is not PathCode.OK and each.code is not PathCode.BUSY
    ]
