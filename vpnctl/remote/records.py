"""Records that the node script writes: what each must look like, and what they say of a node."""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime

from vpnctl.errors import VpnctlError
from vpnctl.protocols import plugin
from vpnctl.remote.driver import NO_STEP, FailedStep
from vpnctl.rules import firewall, grammar
from vpnctl.rules.grammar import clean, quoted
from vpnctl.rules.observed import Observed, SeenEndpoint, SeenInterface
from vpnctl.rules.path import PathCode, SeenPath, Ways
from vpnctl.rules.secret import Secret


@dataclass(frozen=True)
class ScriptAnswer:
    """What the node said. `refused` is empty, `moved` (it is not as observed any more) or `busy`."""

    observed: Observed
    refused: str = ""
    failed: str = ""
    """The step that failed, in the node's words, or empty."""
    step: FailedStep = NO_STEP
    did: tuple[str, ...] = ()


_FACTS = (
    (re.compile(r"os"), re.compile(r"[a-z]{1,20} [0-9.?]{1,10}")),
    (
        re.compile(r"systemd|apt|ufw|iptables|pkg:[a-z0-9.+-]{1,40}|nft:[a-z0-9]{1,15}|ufw:[a-z0-9]{1,15}"),
        re.compile(r"yes|no"),
    ),
    (re.compile(r"ipv6"), re.compile(r"off")),
    (re.compile(r"sysctl:/proc/sys/[a-z0-9_/]{1,60}"), re.compile(r"[0-9]{1,9}")),
    (re.compile(r"health"), re.compile(r"[0-9. ]{1,100}")),
    (re.compile(r"(udp|tcp)_ports"), re.compile(r"[0-9 ]{0,20000}")),
    (re.compile(r"key:/[a-z0-9/._-]{1,60}"), re.compile(r"[A-Za-z0-9+/]{43}=|unknown|")),
)
"""Which facts a node may tell, and how each looks; what looks otherwise is not known."""


_BOOT = re.compile(r"[0-9a-f-]{0,36}")


_ODD_TOKEN = "?"  # noqa: S105 - what stands for a token that no vpnctl wrote


_STEPS = frozenset(
    "repository package fetch cut stage token publish repair remove reload sysctl start stop sync ufw".split()  # noqa: SIM905
)
_CAUSES = ("source", "package")


@dataclass
class Reader:
    """Takes the records of one answer. Errors name what is wrong, never what was said."""

    protocols: dict[str, str]
    words: dict[str, str] = field(default_factory=dict)
    sums: dict[str, str] = field(default_factory=dict)
    modes: dict[str, str] = field(default_factory=dict)
    units: set[str] = field(default_factory=set)
    facts: dict[str, str] = field(default_factory=dict)
    interfaces: dict[str, tuple[int, bool]] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    dumps: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    addresses: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    routes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    shared: dict[tuple[str, str], Secret] = field(default_factory=dict)
    filed: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    others: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    ends: dict[str, int] = field(default_factory=dict)
    lingering: dict[str, int] = field(default_factory=dict)
    paths: dict[str, list[SeenPath]] = field(default_factory=lambda: defaultdict(list))
    lines: dict[int, int] = field(default_factory=dict)
    wan: list[str] = field(default_factory=list)
    networks: list[tuple[str, grammar.Network]] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    nft: list[str] = field(default_factory=list)
    did: list[str] = field(default_factory=list)
    refused: str = ""
    failed: str = ""
    step: FailedStep = NO_STEP
    _dump: list[str] | None = None

    def feed(self, line: str) -> None:
        if line.startswith("|"):
            if self._dump is None:
                raise ValueError("a peer outside of an endpoint")
            self._dump.append(line[1:])
            return
        kind, *rest = line.split("\t")
        if kind in ("applied", "wait"):
            return
        take = getattr(self, f"_on_{kind.replace('-', '_')}", None)
        if take is None:
            raise ValueError("an unknown record")
        try:
            take(*rest)
        except (TypeError, VpnctlError):
            raise ValueError("a record with other fields") from None

    def _word(self, kind: str, value: str) -> None:
        self.words[kind] = value

    def _on_vpnctl_node(self, version: str) -> None:
        self._word("version", version)

    def _on_token(self, value: str) -> None:
        self._word("token", _token(value))

    def _on_boot(self, value: str) -> None:
        if not _BOOT.fullmatch(value):
            raise ValueError("a boot id that is none")
        self._word("boot", value)

    def _on_clock(self, value: str) -> None:
        self._word("clock", str(int(value[:15])))

    def _on_link(self, name: str, mtu: str, index: str, up: str) -> None:
        self.interfaces[name] = (int(mtu[:9]), up == "1")
        self._on_served(name, index)

    def _on_served(self, name: str, epoch: str) -> None:
        """Something that runs, and when it began: an interface's index, or a time."""
        self.epochs[name] = int(epoch[:9])
        self._dump = self.dumps[name]

    def _on_addr(self, link: str, text: str) -> None:
        self.addresses[link].add(str(ipaddress.ip_interface(text)))

    def _on_route(self, link: str, text: str) -> None:
        if text != "default" and "/" in text:
            self.routes[link].add(str(ipaddress.ip_network(text)))

    def _on_shared(self, name: str, identity: str, text: str) -> None:
        if text != "(none)":
            self.shared[name, identity] = plugin(self.protocols[name]).named(text)

    def _on_filed(self, name: str, identity: str) -> None:
        self.filed[name].add(identity)

    def _on_other(self, name: str, parameter: str) -> None:
        if not _PARAMETER.fullmatch(parameter):
            raise ValueError("a parameter that is none")
        self.others[name].add(parameter)

    def _on_lingering(self, name: str, count: str) -> None:
        self.lingering[name] = int(count[:9])

    def _on_ends(self, name: str, at: str) -> None:
        self.ends[name] = int(at[:12])

    def _on_sum(self, path: str, digest: str) -> None:
        self.sums[path] = digest

    def _on_mode(self, path: str, mode: str) -> None:
        self.modes[path] = mode if mode.isdigit() and len(mode) <= 4 else "?"  # noqa: PLR2004

    def _on_unit(self, name: str, _state: str) -> None:
        self.units.add(name)

    def _on_fact(self, name: str, value: str) -> None:
        if any(which.fullmatch(name) and how.fullmatch(value) for which, how in _FACTS):
            self.facts[name] = value

    def _on_way(self, family: str, device: str, mtu: str) -> None:
        self.lines[int(family[:1])] = int(mtu[:9])
        self.wan.append(_device(device))

    def _on_net(self, device: str, text: str) -> None:
        found = ipaddress.ip_interface(text).network
        if not (found.is_link_local or found.is_loopback or found.is_multicast or found.prefixlen == 0):
            self.networks.append((_device(device), found))

    def _on_stale(self, path: str) -> None:
        self.stale.append(path if _PATH.fullmatch(path) else "a line")

    def _on_nft(self, line: str) -> None:
        self.nft.append(line[:300])

    def _on_path(self, link: str, family: str, code: str, _why: str = "") -> None:
        number = int(family) if family in ("4", "6") else 0
        self.paths[link].append(SeenPath(number, PathCode(code)))

    def _on_did(self, *words: str) -> None:
        self.did.append(clean(" ".join(words), 200))

    def _on_failed(self, step: str, subject: str, cause: str, reason: str) -> None:
        """The reason is the programs' own words, which hold keys by accident only; what looks like one is masked."""
        known = step in _STEPS and _PATH.fullmatch(subject)
        self.step = FailedStep(step, subject, cause if cause in _CAUSES else "") if known else NO_STEP
        where = f"{step} {subject}" if known else "a step"
        self.failed = f"{where}: {quoted(reason) or 'it gave no reason'}"

    def _on_refused(self, why: str) -> None:
        self.refused = why if why in ("moved", "busy") else "busy"

    def answer(self, now: datetime) -> ScriptAnswer:
        if self.words.get("version") != "1":
            raise ValueError("it is not the node script's")
        endpoints = {name: self._endpoint(name) for name in self.epochs}
        ways = None
        if self.lines or self.networks or self.nft:
            chains = firewall.parse(self.nft)
            ways = Ways(self.lines, tuple(self.networks), chains, tuple(self.stale), tuple(dict.fromkeys(self.wan)))
        observed = Observed(
            token=self.words["token"],
            boot_id=self.words["boot"],
            clock=int(self.words["clock"]),
            files={path: (digest, self.modes.get(path, "")) for path, digest in self.sums.items()},
            units=frozenset(self.units),
            endpoints=endpoints,
            read_at=now,
            facts=self.facts,
            ways=ways,
            paths={link: tuple(found) for link, found in self.paths.items()},
        )
        return ScriptAnswer(observed, self.refused, self.failed, self.step, tuple(self.did))

    def _endpoint(self, name: str) -> SeenEndpoint:
        identity, port, peers = plugin(self.protocols[name]).observe(self.dumps[name])
        told = {key: shared for (where, key), shared in self.shared.items() if where == name and key in peers}
        peers |= {key: replace(peers[key], shared=shared) for key, shared in told.items()}
        seen, others = None, frozenset(self.others[name])
        if name in self.interfaces:
            mtu, up = self.interfaces[name]
            seen = SeenInterface(mtu, up, frozenset(self.addresses[name]), frozenset(self.routes[name]))
        filed, ends = frozenset(self.filed[name]), self.ends.get(name)
        left = self.lingering.get(name, 0)
        return SeenEndpoint(identity, port, peers, self.epochs[name], filed, seen, others, left, ends)


_PARAMETER = re.compile(r"[a-z0-9_]{1,40}")
_PATH = re.compile(r"[A-Za-z0-9/._@:+ -]{1,200}")


_DEVICE = re.compile(r"[A-Za-z0-9._@-]{1,15}")


def _device(text: str) -> str:
    name = text.partition("@")[0]
    return name if _DEVICE.fullmatch(name) else "?"


def _token(text: str) -> str:
    """A token stands in a command that people are told to type; one that no vpnctl wrote is not shown."""
    if text == "-" or (text.isascii() and text.isalnum() and len(text) <= 36):  # noqa: PLR2004
        return text
    return _ODD_TOKEN
