"""From what is wanted and what was found to the lines that the node script understands. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from vpnctl.protocols import host
from vpnctl.remote.driver import ChangeOrder
from vpnctl.rules.changes import (
    SYSTEM,
    Carrying,
    Change,
    EndpointDown,
    FileDiffers,
    FileLeft,
    ForwardingOff,
    HostRulesMissing,
    OfEndpoint,
    PackageMissing,
    ProgramMissing,
    RulesMissing,
    UnitOff,
)
from vpnctl.rules.desired import Archive, Desired, File, Repository, WantedEndpoint
from vpnctl.rules.difference import firewall_unit, ufw_closed, units
from vpnctl.rules.observed import Observed


@dataclass(frozen=True)
class NodePlan:
    """Lines for the node script and the files that follow them."""

    lines: tuple[str, ...]
    files: tuple[File, ...] = ()
    builds: bool = False
    """Whether a repository is added: then packages may have to be built on the node."""


def look(desired: Desired, scope: str, known: Mapping[str, str | None] = MappingProxyType({})) -> tuple[str, ...]:
    """Return what to read. People's business needs little of a node; the system scope reads all.

    `known` maps an endpoint to the digest of its file when it was last proven: with that file, the server key in
    it is known too and need not be read.
    """
    lines = [_line("look-endpoint", *_at(want), want.config.path, want.transport) for want in desired.endpoints]
    for want in desired.endpoints:
        digest = known.get(want.endpoint_id) or "none"
        lines.append(_line("look-file", want.config.path))
        lines.append(_line("look-key", want.fragment, want.tool, want.config.path, digest))
    if scope == SYSTEM:
        lines.append("look-ways")
        lines += [_line("look-file", file.path) for file in desired.system_files]
        lines += [_line("look-package", name, program) for name, program in desired.packages]
        lines += [_line("look-program", *_program(each)) for each in desired.archives]
        lines += [_line("look-sysctl", path) for path in (host.SYSCTL_LIVE if desired.packages else ())]
        for want in desired.endpoints:
            lines += [_line("look-file", path) for path in (*(file.path for file in want.system_files), *want.absent)]
            lines += [_line("look-unit", unit) for unit in units(want)]
            if want.forward_rule == "ufw":
                lines.append(_line("look-ufw", want.name, *_ufw(want)))
    return tuple(lines)


def paths(desired: Desired, throwaway: Mapping[str, tuple[str | None, str | None]]) -> tuple[str, ...]:
    """Return what to try with packets: `throwaway` maps an endpoint to free addresses (IPv4, IPv6) of its pools."""
    return tuple(
        _line(
            "look-path", *_at(want), str(want.port),
            " ".join((want.identity, *(each or "-" for each in throwaway[want.name]))),
        )
        for want in desired.endpoints
        if not want.removed and want.name in throwaway and (want.tries_alone or any(throwaway[want.name]))
    )  # fmt: skip


def shared(desired: Desired, unknown: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return what to ask for the shared secrets of peers (endpoint -> identities) that only the node knows."""
    return tuple(
        _line("look-shared", *_at(want), " ".join(unknown[want.name]))
        for want in desired.endpoints
        if want.name in unknown
    )


def _at(want: WantedEndpoint) -> tuple[str, str, str]:
    """What each line about a running endpoint begins with: its part of the script, its program, its name."""
    return want.fragment, want.tool, want.name


def _ufw(want: WantedEndpoint) -> tuple[str, str]:
    return want.name if want.interface else "-", f"{want.port}/{want.transport}"


def apply(order: ChangeOrder) -> NodePlan:
    """Return the plan that makes the changes of the order's scope, to be accepted only by a node as it was observed.

    Order: removals of live peers, packages, staging of every file, the new token, publishing, live state. So a full
    disk or a slow line stops no removal, a cut upload publishes nothing, and from the first published byte on every
    other controller's older plan is refused.
    """
    desired, observed, scope = order.desired, order.observed, order.scope
    todo = [change for change in order.changes if change.mends and (change.scope != SYSTEM or scope == SYSTEM)]
    files = _files(desired, todo)
    lines = [_line("expect", observed.token)]
    for want in desired.endpoints:
        seen = observed.endpoints.get(want.name)
        if seen is not None:
            lines.append(_line("keys", *_at(want), digest_of(seen.peers)))
    for want in desired.endpoints:
        lines += _cuts(want, observed)
    packages = [change.package for change in todo if isinstance(change, PackageMissing)]
    sources = [line for each in desired.repositories for line in _repository(each, packages)]
    lines += sources
    lines += [_line("package", " ".join(packages))] if packages else []
    lines += [_fetch(each) for each in desired.archives if ProgramMissing(each.program) in todo]
    tests = {want.config.path: f"{want.fragment} {want.tool}" for want in desired.endpoints if want.tested}
    lines += [_file(file, tests.get(file.path, "")) for file in files]
    lines.append(_line("fresh", order.fresh))
    lines += [_line("publish", file.path) for file in files]
    lines += _live(desired, todo, {file.path for file in files})
    return NodePlan(tuple(lines), tuple(files), bool(sources))


def _file(file: File, test: str) -> str:
    size = str(len(file.text.reveal().encode()))
    return _line("file", file.path, file.mode, file.digest, size, *([test] if test else []))


def _program(archive: Archive) -> tuple[str, str, str]:
    """What to look for: a program that came from one of these archives."""
    return archive.program, archive.program, " ".join(digest for _, _, digest in archive.builds)


def _fetch(archive: Archive) -> str:
    builds = (f"{machine} {digest} {url}" for machine, url, digest in archive.builds)
    return _line("fetch", archive.program, *builds)


def _repository(source: Repository, packages: Sequence[str]) -> tuple[str, ...]:
    missing = " ".join(each for each in source.packages if each in packages)
    key = f"{source.fingerprint} {source.key_url} {source.origin}"
    suites = " ".join(f"{codename}={suite}" for codename, suite in source.suites)
    line = _line("repository", source.name, source.url, key, suites, missing, " ".join(source.packages))
    return (line,) if missing else ()


def digest_of(identities: Iterable[str]) -> str:
    """Return what the node script prints for these live peers: sha256 of the sorted identities, one a line."""
    return hashlib.sha256("".join(f"{each}\n" for each in sorted(identities)).encode()).hexdigest()


def _files(desired: Desired, todo: list[Change]) -> list[File]:
    wanted = {change.path for change in todo if isinstance(change, FileDiffers)}
    every = list(desired.system_files)
    for want in desired.endpoints:
        if not want.removed:
            every += [*want.system_files, want.config]
    return [file for file in every if file.path in wanted]


def _cuts(want: WantedEndpoint, observed: Observed) -> list[str]:
    """Peers to remove at once: revoked ones whose address nobody takes over, and those that lost their shared secret.

    One that is replaced in the same breath (regen) is left to the sync, where its address changes hands at once.
    Tools keep a PSK that vanished from the file (facts 1.4), so such a peer is removed and comes back with the sync.
    """
    seen = observed.endpoints.get(want.name)
    if seen is None or want.removed:
        return []
    wanted_ips = frozenset().union(*(peer.allowed_ips for peer in want.peers.values()))
    cut = [
        identity
        for identity, peer in seen.peers.items()
        if (identity in want.cut and not peer.allowed_ips & wanted_ips)
        or (identity in want.peers and want.peers[identity].shared is None and peer.shared is not None)
    ]
    return [_line("cut", *_at(want), " ".join(sorted(cut)))] if cut else []


def _live(desired: Desired, todo: list[Change], published: set[str]) -> list[str]:
    lines = []
    if any(path.startswith("/etc/systemd/") for path in published):
        lines.append("reload")
    if host.SYSCTL in published or ForwardingOff() in todo:
        lines.append(_line("sysctl", host.SYSCTL))
    for want in desired.endpoints:
        lines += _remove(want) if want.removed else _endpoint_steps(want, todo, published)
    return lines


def _remove(want: WantedEndpoint) -> list[str]:
    files = [file.path for file in (want.config, *want.system_files)]
    lines = [_line("ufw-close", want.name, *_ufw(want))] if want.forward_rule == "ufw" else []
    return lines + [_line("stop", unit) for unit in units(want)] + [_line("remove", path) for path in files]


def _endpoint_steps(want: WantedEndpoint, todo: list[Change], published: set[str]) -> list[str]:
    lines = []
    rules = {file.path for file in (want.firewall, want.drop_in) if file}
    if want.firewall is not None:
        unit = firewall_unit(want.name)
        left = [path for path in want.absent if FileLeft(path) in todo]
        if left:  # what was added for it goes when the unit stops, as long as that still knows how
            lines += [_line("stop", unit), *(_line("remove", path) for path in left), "reload"]
        lost = (RulesMissing(want.name), UnitOff(unit))
        host_rules = any(isinstance(change, HostRulesMissing) and change.name == want.name for change in todo)
        if left or rules & published or host_rules or any(each in todo for each in lost):
            lines.append(_line("start", unit, "-"))
    if ufw_closed(want) in todo:
        lines.append(_line("ufw-open", want.name, *_ufw(want)))
    down = any(isinstance(change, EndpointDown) and change.name == want.name for change in todo)
    others = {file.path for file in want.files}
    if down or UnitOff(want.unit) in todo or others & published:
        lines.append(_line("start", want.unit, *(_at(want) if not others & published else ("-",))))
    if not down and any(_concerns(change, want) for change in todo):
        if want.interface and any(isinstance(change, Carrying) and change.name == want.name for change in todo):
            addresses, routes = " ".join(want.interface.addresses), " ".join(want.interface.routes)
            lines.append(_line("repair", want.name, addresses, routes))
        mtu = str(want.interface.mtu) if want.interface else "-"
        lines.append(_line("sync", *_at(want), want.config.path, mtu))
    return lines


def _concerns(change: Change, want: WantedEndpoint) -> bool:
    if isinstance(change, FileDiffers):
        return change.path == want.config.path
    return isinstance(change, OfEndpoint) and change.name == want.name


def _line(*words: str) -> str:
    if any("\t" in word or "\n" in word for word in words):
        raise ValueError("a tab or newline in a plan")
    return "\t".join(words)
