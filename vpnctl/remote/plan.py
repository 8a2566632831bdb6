"""From what is wanted and what was found to the lines that the node script understands. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from vpnctl.protocols import host
from vpnctl.rules.changes import (
    SYSTEM,
    Carrying,
    Change,
    FileDiffers,
    ForwardingOff,
    InterfaceMissing,
    OfEndpoint,
    PackageMissing,
    RulesMissing,
    UfwClosed,
    UnitOff,
)
from vpnctl.rules.desired import Desired, File, Link
from vpnctl.rules.observed import Observed


@dataclass(frozen=True)
class Plan:
    """Lines for the node script and the files that follow them."""

    lines: tuple[str, ...]
    files: tuple[File, ...] = ()


def look(desired: Desired, scope: str, known: Mapping[str, str | None] = MappingProxyType({})) -> tuple[str, ...]:
    """Return what to read. People's business needs little of a node; the system scope reads all.

    `known` maps an endpoint to the digest of its file when it was last proven: with that file, the server key in
    it is known too and need not be read.
    """
    lines = [_line("look-link", link.tool, link.interface, link.config.path) for link in desired.links]
    for link in desired.links:
        digest = known.get(link.endpoint_id) or "none"
        lines += [_line("look-file", link.config.path), _line("look-key", link.tool, link.config.path, digest)]
    if scope == SYSTEM:
        lines.append("look-ways")
        lines += [_line("look-file", file.path) for file in desired.system_files]
        lines += [_line("look-package", name, program) for name, program in desired.packages]
        lines += [_line("look-sysctl", path) for path in (host.SYSCTL_LIVE if desired.packages else ())]
        for link in desired.links:
            lines += [_line("look-file", file.path) for file in (link.firewall, link.drop_in) if file]
            lines += [_line("look-unit", unit) for unit in (link.unit, host.firewall_unit(link.interface))]
            if link.forward_rule == "ufw":
                lines.append(_line("look-ufw", link.interface, str(link.port)))
    return tuple(lines)


def paths(desired: Desired, throwaway: Mapping[str, tuple[str | None, str | None]]) -> tuple[str, ...]:
    """Return what to try with packets: `throwaway` maps an interface to free addresses (IPv4, IPv6) of its pools."""
    return tuple(
        _line(
            "look-path", link.tool, link.interface, str(link.port),
            " ".join((link.public_key, *(each or "-" for each in throwaway[link.interface]))),
        )
        for link in desired.links
        if not link.removed and any(throwaway.get(link.interface, ()))
    )  # fmt: skip


def psks(unknown: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return what to ask for the preshared keys of peers (interface -> their public keys) that only the node knows."""
    return tuple(_line("look-psk", link, " ".join(keys)) for link, keys in unknown.items())


def apply(desired: Desired, observed: Observed, changes: Iterable[Change], fresh: str, scope: str) -> Plan:
    """Return the plan that makes the changes of `scope`, to be accepted only by a node that still is as observed.

    Order: removals of live peers, packages, staging of every file, the new token, publishing, live state. So a full
    disk or a slow line stops no removal, a cut upload publishes nothing, and from the first published byte on every
    other controller's older plan is refused.
    """
    todo = [change for change in changes if change.mends and (change.scope != SYSTEM or scope == SYSTEM)]
    files = _files(desired, todo)
    lines = [_line("expect", observed.token)]
    for link in desired.links:
        seen = observed.links.get(link.interface)
        if seen is not None:
            lines.append(_line("keys", link.tool, link.interface, keys_digest(seen.peers)))
    for link in desired.links:
        lines += _cuts(link, observed)
    packages = [change.package for change in todo if isinstance(change, PackageMissing)]
    lines += [_line("package", " ".join(packages))] if packages else []
    lines += [_line("file", file.path, file.mode, file.digest, str(len(file.text.reveal().encode()))) for file in files]
    lines.append(_line("fresh", fresh))
    lines += [_line("publish", file.path) for file in files]
    lines += _live(desired, todo, {file.path for file in files})
    return Plan(tuple(lines), tuple(files))


def keys_digest(keys: Iterable[str]) -> str:
    """Return what the node script prints for these live peers: sha256 of the sorted keys, one a line."""
    return hashlib.sha256("".join(f"{key}\n" for key in sorted(keys)).encode()).hexdigest()


def _files(desired: Desired, todo: list[Change]) -> list[File]:
    wanted = {change.path for change in todo if isinstance(change, FileDiffers)}
    every = list(desired.system_files)
    for link in desired.links:
        if not link.removed:
            every += [file for file in (link.firewall, link.drop_in, link.config) if file]
    return [file for file in every if file.path in wanted]


def _cuts(link: Link, observed: Observed) -> list[str]:
    """Keys to remove at once: revoked ones whose address nobody takes over, and those that lost their PSK.

    A key that is replaced in the same breath (regen) is left to the sync, where its address changes hands at once.
    Tools keep a PSK that vanished from the file (facts 1.4), so such a peer is removed and comes back with the sync.
    """
    seen = observed.links.get(link.interface)
    if seen is None or link.removed:
        return []
    wanted_ips = frozenset().union(*(peer.allowed_ips for peer in link.peers.values()))
    cut = [
        key
        for key, peer in seen.peers.items()
        if (key in link.cut and not peer.allowed_ips & wanted_ips)
        or (key in link.peers and link.peers[key].psk is None and peer.psk is not None)
    ]
    return [_line("cut", link.tool, link.interface, " ".join(sorted(cut)))] if cut else []


def _live(desired: Desired, todo: list[Change], published: set[str]) -> list[str]:
    lines = []
    if any(path.startswith("/etc/systemd/") for path in published):
        lines.append("reload")
    if host.SYSCTL in published or ForwardingOff() in todo:
        lines.append(_line("sysctl", host.SYSCTL))
    for link in desired.links:
        lines += _remove(link) if link.removed else _link_steps(link, todo, published)
    return lines


def _remove(link: Link) -> list[str]:
    units = (link.unit, host.firewall_unit(link.interface))
    files = [file.path for file in (link.config, link.firewall, link.drop_in) if file]
    lines = [_line("ufw-close", link.interface, str(link.port))] if link.forward_rule == "ufw" else []
    return lines + [_line("stop", unit) for unit in units] + [_line("remove", path) for path in files]


def _link_steps(link: Link, todo: list[Change], published: set[str]) -> list[str]:
    lines = []
    firewall = host.firewall_unit(link.interface)
    rules = {link.firewall.path} | ({link.drop_in.path} if link.drop_in else set())
    if rules & published or RulesMissing(link.interface) in todo or UnitOff(firewall) in todo:
        lines.append(_line("start", firewall))
    if UfwClosed(link.interface, link.port) in todo:
        lines.append(_line("ufw-open", link.interface, str(link.port)))
    down = InterfaceMissing(link.interface) in todo
    if down or UnitOff(link.unit) in todo:
        lines.append(_line("start", link.unit))
    if not down and any(_concerns(change, link) for change in todo):
        if any(isinstance(change, Carrying) and change.interface == link.interface for change in todo):
            lines.append(_line("repair", link.interface, " ".join(link.addresses), " ".join(link.routes)))
        lines.append(_line("sync", link.tool, link.interface, link.config.path, str(link.mtu)))
    return lines


def _concerns(change: Change, link: Link) -> bool:
    if isinstance(change, FileDiffers):
        return change.path == link.config.path
    return isinstance(change, OfEndpoint) and change.interface == link.interface


def _line(*words: str) -> str:
    if any("\t" in word or "\n" in word for word in words):
        raise ValueError("a tab or newline in a plan")
    return "\t".join(words)
