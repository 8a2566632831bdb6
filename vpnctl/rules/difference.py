"""The difference between what a node must look like and what it was read to be."""

from __future__ import annotations

from collections.abc import Iterable

from vpnctl.rules import firewall
from vpnctl.rules.changes import (
    AddressMissing,
    AddressTaken,
    Change,
    ConnectionsLeft,
    EndpointDown,
    EndpointLeft,
    FileDiffers,
    FileLeft,
    ForwardingOff,
    HostRulesMissing,
    InboundOff,
    InterfaceMissing,
    LinkDown,
    PackageMissing,
    ParameterDiffers,
    PeerAlien,
    PeerDiffers,
    PeerMissing,
    PeerStale,
    ProgramMissing,
    RouteMissing,
    RulesMissing,
    SystemFileDiffers,
    UfwClosed,
    UnitOff,
)
from vpnctl.rules.desired import Archive, Desired, File, Interface, WantedEndpoint
from vpnctl.rules.grammar import Network, network
from vpnctl.rules.notes import (
    CertificateEnds,
    ConnectionsUncut,
    FirewallBlocks,
    InboundDiffers,
    MtuTooLarge,
    PacketsLost,
    PoolOverlaps,
    PreloadStale,
    ProgramOther,
)
from vpnctl.rules.observed import Observed, SeenEndpoint, SeenInterface, shared_differs
from vpnctl.rules.path import PathCode, Ways, fitting_mtu, path_words


def difference(desired: Desired, observed: Observed, aliens: Iterable[str] = (), node: str = "NAME") -> list[Change]:
    """Return what is not as it should be on `node`, in a stable order. Empty means: the node was seen to agree.

    Differences with an `advice` are not made by settling.
    """
    changes: list[Change] = [
        PackageMissing(name) for name, _ in desired.packages if observed.facts.get(f"pkg:{name}") != "yes"
    ]
    changes += [change for each in desired.archives for change in _program(each, observed, node)]
    live = [value for name, value in observed.facts.items() if name.startswith("sysctl:")]
    if desired.packages and ("0" in live or not live):
        changes.append(ForwardingOff())
    changes += [change for file in desired.system_files for change in _file(file, observed, SystemFileDiffers)]
    known = frozenset(aliens)
    for want in desired.endpoints:
        if want.removed:
            changes += _gone(want, observed)
        elif want.inbound is not None:
            changes += _inbound(node, want, observed, known)
        else:
            changes += _endpoint(want, observed, known)
        if not want.removed and observed.ways is not None:
            changes += _ways(node, want, observed.ways, iptables=observed.facts.get("iptables") == "yes")
        healed = any(change.mends for change in changes)
        causes = (change.advice for change in changes if not change.mends)
        advice = f"vpnctl node sync {node}" if healed else next(causes, _unknown(observed.ways))
        other = f"vpnctl endpoint set {node} {want.name} --option target=HOST:443 --option server_name=HOST"
        changes += [
            PacketsLost(want.name, path_words(each), other if each.code is PathCode.TARGET else advice)
            for each in observed.paths.get(want.name, ())
            if each.code is not PathCode.OK and each.code is not PathCode.BUSY
        ]
    if observed.ways is not None:
        changes += [
            PreloadStale(each, "no such file", "remove the line from /etc/ld.so.preload")
            for each in observed.ways.stale
        ]
    return changes


def firewall_unit(name: str) -> str:
    """Return the name of the unit that loads the firewall file of an endpoint."""
    return f"vpnctl-firewall@{name}.service"


def _file(file: File, observed: Observed, kind: type[FileDiffers] = FileDiffers) -> list[Change]:
    seen = observed.files.get(file.path)
    if seen is None:
        return [kind(file.path, "missing")]
    if seen[0] != file.digest:
        return [kind(file.path, "differs")]
    if seen[1] != file.mode:
        return [kind(file.path, f"mode {seen[1]} instead of {file.mode}")]
    return []


def _gone(want: WantedEndpoint, observed: Observed) -> list[Change]:
    if want.inbound is not None:
        seen = observed.endpoints.get(want.name)
        return _peers(want, seen, frozenset(seen.peers), file_is_ours=True) if seen else []
    left = [file.path for file in (want.config, *want.system_files) if file.path in observed.files]
    if want.name in observed.endpoints or left:
        return [EndpointLeft(want.name, want.protocol)]
    return []


def _inbound(node: str, want: WantedEndpoint, observed: Observed, aliens: frozenset[str]) -> list[Change]:
    """Differences of an inbound of a panel: what it is like is the panel's business, who is in it is ours."""
    seen = observed.endpoints.get(want.name)
    if seen is None:
        return [InboundOff(want.name)]
    file = observed.files.get(want.config.path)
    same = file is not None and file[0] == want.config.digest
    found: list[Change] = [InboundOff(want.name)] if seen.off else [] if same else [_changed_there(node, want.name)]
    found += [ConnectionsUncut(want.name, _UNCUT, _LOG)] if seen.uncut else []
    return found + _peers(want, seen, aliens, file_is_ours=True)


_UNCUT = "who was cut off begins nothing new, but what is open goes on until it ends"
_LOG = "in the panel, set an access log (Xray settings, Log) on a server that is reached by SSH; or restart Xray there"


def _changed_there(node: str, name: str) -> InboundDiffers:
    return InboundDiffers(name, "not as people were given it", f"vpnctl node provision {node}")


def _program(archive: Archive, observed: Observed, node: str) -> list[Change]:
    found = observed.facts.get(f"pkg:{archive.program}")
    if found == "no":
        return [ProgramOther(archive.program, "from another archive than the pinned one", f"vpnctl node update {node}")]
    return [] if found == "yes" else [ProgramMissing(archive.program)]


def _endpoint(want: WantedEndpoint, observed: Observed, aliens: frozenset[str]) -> list[Change]:
    changes: list[Change] = [
        change for file in want.system_files for change in _file(file, observed, SystemFileDiffers)
    ]
    changes += [FileLeft(path) for path in want.absent if path in observed.files]
    changes += [UnitOff(unit) for unit in units(want) if unit not in observed.units]
    if want.firewall is not None and observed.facts.get(f"nft:{want.name}") != "yes":
        changes.append(RulesMissing(want.name))
    if want.forward_rule == "ufw" and observed.facts.get(f"ufw:{want.name}") != "yes":
        changes.append(ufw_closed(want))
    changes += _file(want.config, observed)
    seen = observed.endpoints.get(want.name)
    if seen is None:
        return [*changes, InterfaceMissing(want.name) if want.interface else EndpointDown(want.name)]
    if want.interface and seen.interface:
        changes += _carries(want.name, want.interface, seen.interface)
    if seen.port != want.port:
        changes.append(ParameterDiffers(want.name, f"port {seen.port} instead of {want.port}"))
    if want.interface and seen.interface and seen.interface.mtu != want.interface.mtu:
        changes.append(ParameterDiffers(want.name, f"MTU {seen.interface.mtu} instead of {want.interface.mtu}"))
    changes += [ParameterDiffers(want.name, f"{each} is another one than in the file") for each in sorted(seen.others)]
    changes += [ConnectionsLeft(want.name, seen.lingering)] if seen.lingering else []
    changes += _certificate(want.name, seen.ends, observed.clock)
    file = observed.files.get(want.config.path)
    ours = file is not None and file[0] == want.config.digest
    return changes + _peers(want, seen, aliens, file_is_ours=ours)


def units(want: WantedEndpoint) -> tuple[str, ...]:
    """Return the units of an endpoint; what runs it comes first."""
    return (want.unit, *([firewall_unit(want.name)] if want.firewall else []))


def ufw_closed(want: WantedEndpoint) -> UfwClosed:
    """Return the change that opens the host's ufw for an endpoint."""
    return UfwClosed(want.name, want.port, " and forwarding" if want.interface else "")


def _certificate(name: str, ends: int | None, now: int) -> list[Change]:
    if ends is None or ends > now + _RENEWED_BEFORE:
        return []
    days = (ends - now) // 86400
    told = f"in {days} days" if days > 0 else "today" if ends > now else "it has ended, and nobody can connect"
    return [CertificateEnds(name, told, "renew it on the server; Xray reads it again by itself within an hour")]


_RENEWED_BEFORE = 14 * 86400
"""Seconds; what renews certificates by itself does so earlier."""


def _peers(want: WantedEndpoint, seen: SeenEndpoint, aliens: frozenset[str], *, file_is_ours: bool) -> list[Change]:
    missing = sorted(want.peers.keys() - seen.peers.keys())
    changes: list[Change] = [PeerMissing(want.name, identity) for identity in missing]
    for identity in sorted(seen.peers.keys() - want.peers.keys()):
        if identity in want.cut and not (identity in want.resting and seen.peers[identity].switched_off):
            changes.append(PeerStale(want.name, identity))
        elif identity not in aliens and identity not in want.cut:
            changes.append(PeerAlien(want.name, identity))
    astray = want.cut & (seen.strays.keys() - seen.peers.keys())
    away = (each for each in sorted(astray) if not (each in want.resting and seen.strays[each].switched_off))
    changes += [PeerStale(want.name, each) for each in away]
    for identity in sorted(want.peers.keys() & seen.peers.keys()):
        wish, have = want.peers[identity], seen.peers[identity]
        if not have.enabled:
            changes.append(PeerDiffers(want.name, identity, "disabled there"))
        elif have.odd:
            changes.append(PeerDiffers(want.name, identity, have.odd))
        elif wish.allowed_ips != have.allowed_ips:
            changes.append(_allowed_ips(want, identity, seen))
        elif shared_differs(wish.shared, have.shared, file_is_ours=file_is_ours):
            changes.append(PeerDiffers(want.name, identity, want.shared))
    return changes


def _allowed_ips(want: WantedEndpoint, identity: str, seen: SeenEndpoint) -> Change:
    """Name the peer that has the address, where one has: in WireGuard it belongs to whoever claimed it last."""
    lost = want.peers[identity].allowed_ips - seen.peers[identity].allowed_ips
    taker = next((key for key, other in sorted(seen.peers.items()) if key != identity and other.allowed_ips & lost), "")
    if taker:
        return AddressTaken(want.name, identity, f"{taker} has its address")
    return PeerDiffers(want.name, identity, "allowed IPs")


def _carries(name: str, want: Interface, seen: SeenInterface) -> list[Change]:
    """What an interface lacks to carry packets. Taken down, it has no routes either: that is all there is to say."""
    if not seen.up:
        return [LinkDown(name)]
    lost = [each for each in want.addresses if each not in seen.addresses]
    if lost:
        return [AddressMissing(name, each) for each in lost]
    return [RouteMissing(name, each) for each in want.routes if each not in seen.routes]


def _ways(node: str, want: WantedEndpoint, ways: Ways, *, iptables: bool) -> list[Change]:
    """What else on the node keeps packets from passing, with what to type: vpnctl does not change it unasked."""
    listener = firewall.Listener(want.name if want.interface else "", want.port, want.transport)
    blocked = firewall.judge(ways.chains, listener, ways.wan, ways.lines)
    rule = firewall.forward_rule(blocked, ways.chains, iptables=iptables)
    allowed = want.forward_rule in ("docker", "iptables")
    found: list[Change] = []
    for each in blocked:
        what = f"{each.what} {each.chain}"
        if rule and allowed:  # we may, and did: our rules were lost, or something was put before them
            found.append(HostRulesMissing(want.name, what))
        elif rule:
            found.append(FirewallBlocks(want.name, what, f"vpnctl node provision {node}"))
        else:
            port = f"{want.transport.upper()} port {want.port}"
            ours = f"{want.name} and {port}" if want.interface else port
            found.append(FirewallBlocks(want.name, what, f"vpnctl does not change that one: let {ours} pass there"))
    return found + (_carried(node, want, want.interface, ways) if want.interface else [])


def _carried(node: str, want: WantedEndpoint, interface: Interface, ways: Ways) -> list[Change]:
    found: list[Change] = []
    fits = fitting_mtu(ways, interface.overhead, interface.mtu)
    if fits is not None and interface.mtu > fits:
        line = min(ways.lines.values())
        advice = f"vpnctl endpoint set {node} {want.name} --mtu {fits}"
        found.append(MtuTooLarge(want.name, f"{interface.mtu}; the line carries {line}", advice))
    own = [network(each) for each in interface.routes]
    clash = next(
        ((dev, net) for dev, net in ways.networks if dev != want.name and any(_takes(net, pool) for pool in own)), None
    )
    if clash is not None:
        advice = f"vpnctl endpoint add {node} {want.protocol} --pool …, and move people there"
        found.append(PoolOverlaps(want.name, f"{clash[1]} on {clash[0]}", advice))
    return found


def _takes(network: Network, pool: Network) -> bool:
    """Return whether a network draws packets of the pool away from us: a wider one does not."""
    return network.version == pool.version and network.prefixlen >= pool.prefixlen and network.overlaps(pool)


def _unknown(ways: Ways | None) -> str:
    """What to look at where packets get lost and no chain drops them for certain."""
    chains = firewall.suspects(ways.chains) if ways else []
    named = f" there, first at {', '.join(chains[:3])}" if chains else " there"
    return f"no chain drops them for certain: look at `nft list ruleset`{named}, and at the provider's network"
