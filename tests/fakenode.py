"""An in-memory node behind the `Shell` interface: the same plans in, the same records out as the node script.

A contract test (tests/lab/test_contract.py) runs the same plans on this and on a real Debian and compares.
It can be told to break at any call and at any step, to lie, to flood, and to have a full disk.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.support.panel import Panel, answer_shell
from vpnctl.errors import Distrust, Unreachable
from vpnctl.protocols.wireguard.handshake import public_key
from vpnctl.remote.panel.bootstrap import PROGRAM as PANEL_PROGRAM
from vpnctl.remote.panel.shell import LOADER as PANEL_LOADER
from vpnctl.remote.probe import Handshake, Stamp, Verdict
from vpnctl.remote.shell import Login, Result

NO_SPACE = "head: error writing 'standard output': No space left on device"


@dataclass
class Live:
    """One interface that is up."""

    public: str
    port: int
    mtu: int
    index: int = 0
    up: bool = True
    addresses: set[str] = field(default_factory=set)
    routes: set[str] = field(default_factory=set)
    peers: dict[str, list[str]] = field(default_factory=dict)
    """Key -> [psk, allowed ips, handshake, rx, tx]."""
    disguise: dict[str, str] = field(default_factory=dict)
    """Parameters of AmneziaWG."""


FOLDERS = {"wg-quick": "/etc/wireguard", "awg-quick": "/etc/amnezia/amneziawg"}


class Part(Protocol):
    """What of a node belongs to one more protocol: what its part of the node script would do."""

    prefix: str
    """Of its units."""

    def identities(self, name: str) -> set[str]: ...
    def start(self, name: str) -> None: ...
    def stop(self, name: str) -> None: ...
    def cut(self, name: str, identities: Sequence[str]) -> None: ...
    def sync(self, name: str, path: str) -> None: ...
    def look(self, name: str, path: str) -> list[str]: ...
    def shared(self, name: str, identities: Sequence[str]) -> list[str]: ...


PARTS: dict[str, Callable[[FakeNode], Part]] = {}
"""Fragment -> what makes its part of a node; empty but for tests of further protocols."""


class Died(Exception):
    """The node (or the connection) died at a step."""


@dataclass
class FakeNode:
    """State of one server."""

    name: str = "node"
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    links: dict[str, Live] = field(default_factory=dict)
    units: dict[str, tuple[str, str]] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    repositories: list[str] = field(default_factory=list)
    tables: set[str] = field(default_factory=set)
    host_key: str = ""
    boot_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    clock: int = 1_800_000_000
    """What it says when no clock was given to its fleet."""
    time: Callable[[], float] | None = None
    facts: dict[str, str] = field(default_factory=dict)
    ways: dict[int, int] = field(default_factory=lambda: {4: 1500, 6: 1500})
    """Family -> MTU of the line."""
    networks: list[tuple[str, str]] = field(default_factory=list)
    nft: list[str] = field(default_factory=list)
    path: str = "ok"
    """What becomes of packets: `ok`, `out`, `back`, `handshake`, `setup`."""
    down: bool = False
    ssh_down: bool = False
    udp_blocked: bool = False
    last_probe: int = 0
    health: str = "0.10 2 4000000 3000000 20 5 3"
    disk_full: bool = False
    listening: set[int] = field(default_factory=set)
    """TCP ports."""
    indexes: int = 1
    parts: dict[str, Part] = field(default_factory=dict)
    panel: Panel | None = None
    panel_token: str = "-"
    commands: list[tuple[str, ...]] = field(default_factory=list)
    """What was run beside the scripts."""
    panel_says: dict[str, str] = field(default_factory=dict)
    """What its program answers, by option."""
    calls: int = 0
    steps: int = 0
    writes: int = 0
    die_before_call: int = 0
    die_after_call: int = 0
    die_at_step: int = 0
    answer: Callable[[bytes], bytes] = staticmethod(lambda out: out)
    before_apply: Callable[[], None] = staticmethod(lambda: None)
    before_file: Callable[[], None] = staticmethod(lambda: None)
    """Called before a file is taken: what happens there happens while nothing is locked."""

    def __post_init__(self) -> None:
        self.parts = {name: make(self) for name, make in PARTS.items()}

    def now(self) -> int:
        """Return what its clock says."""
        return int(self.time()) if self.time else self.clock

    def part_of(self, unit: str) -> Part | None:
        return next((part for part in self.parts.values() if unit.startswith(f"{part.prefix}@")), None)

    def connect(self, login: Login) -> FakeShell:
        if self.down or self.ssh_down:
            raise Unreachable(f"{login.node}: cannot reach {login.host} port {login.port}: no answer within 10 s")
        if login.kind == "ssh" and self.host_key and login.host_key != self.host_key:
            raise Distrust(f"{login.node}: the host key of {login.host} changed", "vpnctl node trust")
        return FakeShell(self, login)

    def reboot(self) -> None:
        """Live state is gone; what is in files and enabled comes back."""
        self.boot_id = str(uuid.uuid4())
        self.links.clear()
        self.tables.clear()
        for unit, (enabled, _) in list(self.units.items()):
            self.units[unit] = (enabled, "inactive")
            if enabled == "enabled":
                self.start(unit)

    @property
    def token(self) -> str:
        return self.files["/var/lib/vpnctl/token"][1].decode().strip() if "/var/lib/vpnctl/token" in self.files else "-"

    def all_keys(self, interface: str = "wg0") -> set[str]:
        if interface in self.links:
            return set(self.links[interface].peers)
        return {each for part in self.parts.values() for each in part.identities(interface)}

    def live_keys(self, interface: str = "wg0") -> set[str]:
        """Keys of peers with addresses: people's and aliens', not our probe's."""
        if interface not in self.links:
            return set()
        return {key for key, row in self.links[interface].peers.items() if row[1] != "(none)"}

    def people(self, interface: str = "wg0") -> list[list[str]]:
        """The rows of peers with addresses, to be changed: [psk, allowed ips, handshake, rx, tx]."""
        return [row for row in self.links[interface].peers.values() if row[1] != "(none)"]

    def start(self, unit: str) -> None:
        interface = unit.split("@")[1].removesuffix(".service")
        part = self.part_of(unit)
        if part is not None:
            part.start(interface)
        elif unit.startswith("vpnctl-firewall@"):
            self.tables.add(interface)
        else:
            path = f"{FOLDERS[unit.split('@', maxsplit=1)[0]]}/{interface}.conf"
            lines = self.files[path][1].decode().splitlines()
            mtu = next(int(line[6:]) for line in lines if line.startswith("MTU = "))
            self.indexes += 1
            own = next(line[10:].split(", ") for line in lines if line.startswith("Address = "))
            nets = {str(ipaddress.ip_interface(each).network) for each in own}
            self.links[interface] = Live("", 0, mtu, self.indexes, True, set(own), nets)
            self.sync(interface, path, mtu)
        self.units[unit] = ("enabled", "active")

    def sync(self, interface: str, path: str, mtu: int) -> None:
        """What the script's sync comes to: peers of the file replace those that differ, an address moves to who claims it last."""
        wanted: dict[str, dict[str, str]] = {}
        head: dict[str, str] = {}
        into = head
        for line in self.files[path][1].decode().splitlines():
            if line == "[Peer]":
                into = {}
            elif " = " in line and not line.startswith("#"):
                key, _, value = line.partition(" = ")
                into[key] = value
                if key == "PublicKey":
                    wanted[value] = into
        live = self.links[interface]
        live.disguise = {key.lower(): value for key, value in head.items() if key[0] in "JSH"}
        live.public, live.port, live.mtu = (
            public_key(base64.b64decode(head["PrivateKey"])),
            int(head["ListenPort"]),
            mtu,
        )
        for key in list(live.peers):
            if key not in wanted:
                del live.peers[key]
        owner = {ip: key for key, row in live.peers.items() for ip in row[1].split(",")}
        for key, values in wanted.items():
            ips = values.get("AllowedIPs", "(none)").replace(", ", ",")
            old = live.peers.get(key, ["(none)", "(none)", "0", "0", "0"])
            # Old tools keep a PSK that vanished from the file.
            live.peers[key] = [values.get("PresharedKey", old[0]), ips, *old[2:]]
            for ip in ips.split(","):
                before = live.peers.get(owner.get(ip, key))
                if ip != "(none)" and owner.get(ip, key) != key and before is not None:
                    before[1] = ",".join(each for each in before[1].split(",") if each != ip) or "(none)"
                owner[ip] = key


@dataclass
class FakeShell:
    """An open connection."""

    node: FakeNode
    login: Login

    def is_open(self) -> bool:
        return not self.node.down

    def close(self) -> None:
        return

    def run(self, argv, stdin=b"", seconds=60, hear=lambda part: None) -> Result:
        node = self.node
        node.calls += 1
        gone = Unreachable(f"{self.login.node}: the connection broke", "vpnctl node check")
        if node.down or node.calls == node.die_before_call:
            raise gone
        try:
            result = self._run(argv, stdin)
        except Died:
            raise gone from None
        if node.calls == node.die_after_call:
            raise gone
        return result

    def _tool(self, argv: Sequence[str]) -> Result:
        """What some programs of the server say."""
        if argv[0] == "cat":
            found = self.node.files.get(argv[1])
            return Result(0, found[1], b"") if found else Result(1, b"", b"cat: no such file")
        if argv[:2] == ("ls", "-1"):
            enabled = [unit for unit, (state, _) in self.node.units.items() if state == "enabled"]
            return Result(0, "".join(f"{unit}\n" for unit in enabled).encode(), b"")
        if argv[:2] == ("systemctl", "is-active"):
            state = self.node.units.get(argv[2], ("", "inactive"))[1]
            return Result(0 if state == "active" else 3, f"{state}\n".encode(), b"")
        return Result(0, b"", b"")

    def _run(self, argv: Sequence[str], stdin: bytes) -> Result:
        self.node.commands.append(tuple(argv))
        if argv[0] == "id":
            return Result(0, b"0\n", b"")
        if argv[:2] == ("bash", "-c") and argv[2] == "id -u":
            return Result(0, b"0\n", b"")
        if argv[0] in ("cat", "ls", "systemctl"):
            return self._tool(argv)
        if argv[0] == PANEL_PROGRAM and self.node.panel is not None:
            return Result(0, self.node.panel_says.get(argv[2], "").encode(), b"")
        if argv[:2] == ("bash", "-c") and argv[2] == PANEL_LOADER:
            assert self.node.panel is not None, "there is no panel here"
            self.node.before_apply()
            said, self.node.panel_token = answer_shell(self.node.panel, stdin, self.node.panel_token, self.node.now())
            return Result(0, self.node.answer(said), b"")
        if argv[0] != "bash" or not argv[2].startswith("LC_ALL=C; IFS= read -r script_bytes"):
            return Result(0, b"", b"")
        head, _, rest = stdin.partition(b"\n")
        plan_bytes, _, rest = rest.partition(b"\n")
        nonce, _, rest = rest.partition(b"\n")
        rest = rest[int(head) :]
        plan, files = rest[: int(plan_bytes)].decode().splitlines(), rest[int(plan_bytes) :]
        assert plan[-1] == "go"
        run = _Run(self.node, [line.split("\t") for line in plan[:-1]], files)
        out = run.answer(nonce.decode()).encode()
        return Result(0, self.node.answer(out), b"")


class _Run:
    """One call of the node script."""

    def __init__(self, node: FakeNode, plan: list[list[str]], files: bytes) -> None:
        self.node, self.plan, self.files, self.out = node, plan, files, []
        self.staged: dict[str, tuple[str, bytes]] = {}

    def say(self, *words: str) -> None:
        self.out.append("\t".join(words))

    def answer(self, nonce: str) -> str:
        if self.plan and self.plan[0][0] == "expect":
            self.node.before_apply()
            self.apply()
        self.look()
        self.say("end", nonce)
        return "".join(f"{line}\n" for line in self.out)

    def step(self, verb: str, subject: str, work: Callable[[], str | None]) -> bool:
        self.node.steps += 1
        if self.node.steps == self.node.die_at_step:
            raise Died
        problem = work()
        self.say("failed", verb, subject, "", problem) if problem else self.say("did", verb, subject)
        self.node.writes += 1
        return not problem

    def apply(self) -> None:
        seen: dict[str, str] = {}
        if any(verb == "cut" for verb, *_ in self.plan) and not (
            self._as_observed(seen) and self._steps({"cut"}, seen)
        ):
            return
        if self._steps({"repository", "package", "fetch", "file"}, seen) and self._as_observed(seen):
            late = {"fresh", "publish", "repair", "remove", "reload", "sysctl", "start", "stop", "sync"}
            if self._steps(late, seen):
                self.say("applied")

    def _as_observed(self, seen: dict[str, str]) -> bool:
        for verb, *args in self.plan:
            moved = verb == "expect" and args[0] != self.node.token
            moved |= verb == "keys" and seen.get(args[2], args[3]) != _digest(self.node.all_keys(args[2]))
            if moved:
                self.say("refused", "moved")
                return False
        return True

    def _steps(self, verbs: set[str], seen: dict[str, str]) -> bool:
        for verb, *args in self.plan:
            if verb not in verbs:
                continue
            work = getattr(self, f"do_{verb}", None)
            subject = args[2] if verb in ("cut", "sync") else args[0] if args else "units"
            if verb == "file":
                self.node.before_file()
            name = {"file": "stage", "fresh": "token"}.get(verb, verb)
            subject = "new" if verb == "fresh" else subject
            if work is not None and not self.step(name, subject, lambda work=work, args=args: work(*args)):
                return False
            if verb == "cut":
                seen[args[2]] = _digest(self.node.all_keys(args[2]))
        return True

    def do_repository(self, name: str, *_where: str) -> None:
        self.node.repositories.append(name)

    def do_package(self, names: str) -> None:
        self.node.packages |= set(names.split())

    def do_fetch(self, name: str, *_builds: str) -> None:
        self.node.packages.add(name)

    def do_cut(self, part: str, _tool: str, interface: str, keys: str) -> None:
        if part in self.node.parts:
            return self.node.parts[part].cut(interface, keys.split())
        for key in keys.split():
            self.node.links[interface].peers.pop(key, None)
        return None

    def do_file(self, path: str, mode: str, digest: str, size: str, _test: str = "") -> str | None:
        if self.node.disk_full:
            return NO_SPACE
        data, self.files = self.files[: int(size)], self.files[int(size) :]
        if hashlib.sha256(data).hexdigest() != digest:
            return "checksum differs"
        self.staged[path] = (mode, data)
        return None

    def do_fresh(self, token: str) -> str | None:
        if self.node.disk_full:
            return NO_SPACE
        self.node.files["/var/lib/vpnctl/token"] = ("600", token.encode() + b"\n")
        return None

    def do_publish(self, path: str) -> None:
        self.node.files[path] = self.staged[path]

    def do_remove(self, path: str) -> None:
        self.node.files.pop(path, None)

    def do_reload(self) -> None:
        return None

    def do_sysctl(self, _path: str) -> None:
        self.node.facts |= {"forward4": "1", "forward6": "1"}

    def do_start(self, unit: str, *_at: str) -> None:
        self.node.start(unit)

    def do_stop(self, unit: str) -> None:
        interface = unit.split("@")[1].removesuffix(".service")
        self.node.units.pop(unit, None)
        part = self.node.part_of(unit)
        if part is not None:
            return part.stop(interface)
        self.node.links.pop(interface, None) if "quick" in unit else self.node.tables.discard(interface)
        return None

    def do_repair(self, interface: str, addresses: str, routes: str) -> None:
        live = self.node.links[interface]
        live.up, live.addresses, live.routes = True, set(addresses.split()), set(routes.split())

    def do_sync(self, part: str, _tool: str, interface: str, path: str, mtu: str) -> None:
        if part in self.node.parts:
            self.node.parts[part].sync(interface, path)
        else:
            self.node.sync(interface, path, int(mtu))

    def look(self) -> None:
        node = self.node
        self.say("vpnctl-node", "1")
        self.say("token", node.token)
        self.say("boot", node.boot_id)
        self.say("clock", str(node.now()))
        if node.facts.get("ipv6") == "off":
            self.say("fact", "ipv6", "off")
        for verb, *args in self.plan:
            work = getattr(self, verb.replace("-", "_"), None)
            if verb.startswith("look-") and work is not None:
                work(*args)

    def look_file(self, path: str) -> None:
        if path in self.node.files:
            mode, data = self.node.files[path]
            self.say("sum", path, hashlib.sha256(data).hexdigest())
            self.say("mode", path, mode)

    def look_key(self, part: str, _tool: str, path: str, known: str) -> None:
        if (
            part not in self.node.parts
            and path in self.node.files
            and hashlib.sha256(self.node.files[path][1]).hexdigest() != known
        ):
            text = self.node.files[path][1].decode()
            key = next((line[13:] for line in text.splitlines() if line.startswith("PrivateKey = ")), None)
            self.say("fact", f"key:{path}", public_key(base64.b64decode(key)) if key else "")

    def look_unit(self, unit: str) -> None:
        if self.node.units.get(unit, ("", ""))[0] == "enabled":
            self.say("unit", unit, "enabled")

    def look_package(self, name: str, _program: str) -> None:
        if name in self.node.packages:
            self.say("fact", f"pkg:{name}", "yes")

    def look_program(self, name: str, _program: str, _digests: str) -> None:
        self.look_package(name, _program)

    def look_sysctl(self, path: str) -> None:
        self.say("fact", f"sysctl:{path}", self.node.facts.get("forward4", "0"))

    def look_facts(self) -> None:
        known = {"os": "debian 12", "systemd": "yes", "apt": "yes", "ufw": "no"}
        # what the fake keeps for itself is no fact that the script tells
        for name, value in (known | self.node.facts).items():
            self.say("fact", name, value)

    def look_health(self) -> None:
        self.say("fact", "health", self.node.health)

    def look_ways(self) -> None:
        self.say("fact", "iptables", self.node.facts.get("iptables", "yes"))
        for family, mtu in self.node.ways.items():
            self.say("way", str(family), "eth0", str(mtu))
        for device, net in [("eth0", "203.0.113.7/24"), *self.node.networks]:
            self.say("net", device, net)
        for line in self.node.nft:
            self.say("nft", line)
        for interface in self.node.tables:
            self.say("fact", f"nft:{interface}", "yes")

    def look_shared(self, part: str, _tool: str, interface: str, keys: str) -> None:
        if part in self.node.parts:
            named = self.node.parts[part].shared(interface, keys.split())
            for identity, secret in zip(keys.split(), named, strict=True):
                self.say("shared", interface, identity, secret)
            return
        for key in keys.split():
            row = self.node.links[interface].peers.get(key)
            if row is not None:
                self.say("shared", interface, key, row[0])

    def look_path(self, _part: str, _tool: str, interface: str, _port: str, rest: str) -> None:
        if _part in self.node.parts:
            return self.say("path", interface, "0", self.node.path)
        if interface not in self.node.links:
            return None
        if self.node.path == "setup":
            return self.say("path", interface, "-", "setup", "no such device")
        for family, address in zip("46", rest.split()[1:], strict=True):
            if address != "-" and int(family) in self.node.ways:
                self.say("path", interface, family, self.node.path)
        return None

    def _disguise(self, path: str) -> dict[str, str]:
        text = self.node.files.get(path, ("", b""))[1].decode().partition("[Peer]")[0]
        pairs = (line.partition(" = ") for line in text.splitlines() if re.match("(J|S|H)[a-z0-9]+ = ", line))
        return {name.lower(): value for name, _, value in pairs}

    def _psks(self, path: str) -> dict[str, str]:
        """Key -> preshared key of our file on the node."""
        found: dict[str, str] = {}
        key = ""
        for line in self.node.files.get(path, ("", b""))[1].decode().splitlines():
            name, _, value = line.partition(" = ")
            if name == "PublicKey":
                key = value
                found[key] = ""
            elif name == "PresharedKey":
                found[key] = value
        return found

    def look_endpoint(self, part: str, _tool: str, interface: str, path: str, transport: str) -> None:
        if part in self.node.parts:
            self.out += self.node.parts[part].look(interface, path)
            return
        live = self.node.links.get(interface)
        if live is not None:
            self.say("link", interface, str(live.mtu), str(live.index), str(int(live.up)))
            for each in sorted(live.addresses):
                self.say("addr", interface, each)
            for each in sorted(live.routes):
                self.say("route", interface, each)
            self.say(f"|-\t{live.public or '(none)'}\t{live.port}\toff")
            known = self._psks(path)
            for key, (psk, ips, handshake, rx, tx) in live.peers.items():
                shown = psk
                if key in known and psk != "(none)":
                    shown = "(same)" if psk == known[key] else "(other)"
                known.pop(key, None)
                self.say(f"|{key}\t{shown}\t(none)\t{ips}\t{handshake}\t{rx}\t{tx}\toff")
            for key in known:
                self.say("filed", interface, key)
            for name, value in self._disguise(path).items():
                if live.disguise.get(name) != value:
                    self.say("other", interface, name)
        else:
            self.say("fact", f"{transport}_ports", self.node.facts.get(f"{transport}_ports", ""))


def _digest(keys: set[str]) -> str:
    return hashlib.sha256("".join(f"{key}\n" for key in sorted(keys)).encode()).hexdigest()


class Fleet:
    """Nodes by host name; `connect` is what an App gets."""

    def __init__(self, time: Callable[[], float] | None = None) -> None:
        self.nodes: dict[str, FakeNode] = {}
        self.time = time

    def __getitem__(self, host: str) -> FakeNode:
        return self.nodes.setdefault(host, FakeNode(host, time=self.time))

    def connect(self, login: Login) -> FakeShell:
        return self[login.host].connect(login)

    def shake(self, host: str, port: int, talk: Any, stamp: Stamp) -> Handshake:
        """What a real server would do with the probe's first message."""
        node = self[host]
        if talk is None:
            return self._reach(node, port)
        seconds, _ = stamp()
        identity = talk.identity
        if node.down or node.udp_blocked:
            return Handshake(Verdict.SILENT)
        live = next((link for link in node.links.values() if link.port == port), None)
        if live is None:
            return Handshake(Verdict.REFUSED)
        peer = live.peers.get(public_key(identity.private))
        if peer is None or live.public != base64.b64encode(identity.server_public).decode():
            return Handshake(Verdict.SILENT)
        if seconds < node.last_probe:
            return Handshake(Verdict.SILENT)
        node.last_probe = seconds
        same = peer[0] == base64.b64encode(identity.psk).decode()
        return Handshake(Verdict.OK, 1.0) if same else Handshake(Verdict.PSK_MISMATCH, 1.0)

    def _reach(self, node: FakeNode, port: int) -> Handshake:
        """What a TCP connection would find."""
        if node.down:
            return Handshake(Verdict.SILENT)
        return Handshake(Verdict.OK, 1.0) if port in node.listening else Handshake(Verdict.REFUSED)
