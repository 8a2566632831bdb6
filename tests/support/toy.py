"""A second, trivial protocol: no interface, no addresses, TCP, and one secret string as credentials.

It exists to prove that nothing outside a protocol's own package knows WireGuard.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakenode import FakeNode
from vpnctl.errors import InvalidInput
from vpnctl.protocols.interface import (
    AlienSpec,
    BadOption,
    ClientApp,
    ClientKind,
    Credentials,
    EndpointSpec,
    Entry,
    PeerSpec,
    Pools,
    Server,
    Suited,
    Supports,
)
from vpnctl.rules.desired import File, WantedEndpoint, WantedPeer
from vpnctl.rules.grammar import Network
from vpnctl.rules.observed import SeenPeer, SeenShared
from vpnctl.rules.secret import Secret

UNIT = "/etc/systemd/system/toy@.service"
UNIT_TEXT = "[Service]\nExecStart=/usr/bin/toy /etc/toy/%i.conf\n[Install]\nWantedBy=multi-user.target\n"
HEAD, FIELDS = 2, 4
"""Words of a record: of the server, and of each person."""


class Toy:
    """The plug-in."""

    name = "toy"
    title = "Toy"
    supports = Supports(handshakes=False, client_secret=False)
    transport = "tcp"
    driver = "node"
    script: tuple[str, ...] = ("tests.support",)
    fragment = "toy"
    name_prefix = "toy"
    default_port = 8443
    packages = (("toy", "toy"),)
    archives = ()
    repositories = ()
    renews_clients = frozenset({"port", "greeting"})
    must_match = frozenset({"port"})
    fixed = frozenset({"realm"})
    client_options = frozenset({"greeting"})
    suffix = ".txt"
    apps = {"linux": ClientApp("Toy", "https://toy.example.org", ("toy open {file}",))}  # noqa: RUF012 - a constant

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        for name, value in options.items():
            if name not in ("greeting", "realm"):
                raise BadOption(name, "unknown key")
            if not isinstance(value, str):
                raise BadOption(name, "expected a valid string")
        if "\n" in "".join(options.values()):
            raise InvalidInput("a greeting has one line")
        return dict(options)

    def fitting(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return dict(options)

    def complete(
        self, options: Mapping[str, Any], _others: Sequence[Mapping[str, Any]], _avoid: Sequence[Network]
    ) -> dict[str, Any]:
        return {"greeting": "hello", "realm": "main", **options}

    def from_entry(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        return self.complete(self.checked(entry), (), ())

    def to_entry(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return dict(options)

    def suited(self, _server: Server) -> Suited:
        return Suited({})

    def readers(self, _options: Mapping[str, Any]) -> tuple[str, ...]:
        return ("Toy",)

    def preference(self, _options: Mapping[str, Any]) -> int:
        return 0

    def renewed(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return dict(options)

    def newer(self, _options: Mapping[str, Any]) -> dict[str, Any] | None:
        return None

    def pools(self, _options: Mapping[str, Any]) -> Pools:
        return Pools()

    def server(self) -> Credentials:
        return Credentials(f"toy-{secrets.token_hex(4)}")

    def issue(self, identity: str | None = None) -> Credentials:
        if identity is not None:
            raise InvalidInput("toy has no keys of the user's own", "leave --public-key out")
        return Credentials(f"tag-{secrets.token_hex(4)}", None, Secret(secrets.token_urlsafe(24)))

    def wanted(
        self, endpoint: EndpointSpec, peers: Sequence[PeerSpec], aliens: Sequence[AlienSpec], cut: frozenset[str]
    ) -> WantedEndpoint:
        people = {each.identity: each.shared for each in aliens} | {each.identity: each.shared for each in peers}
        lines = [f"server {endpoint.identity}", f"listen {endpoint.port}", f"greeting {endpoint.options['greeting']}"]
        lines += [f"user {tag} {secret.reveal()}" for tag, secret in sorted(people.items()) if secret]
        held = tuple(secret for secret in people.values() if secret)
        return WantedEndpoint(
            endpoint_id=endpoint.id,
            protocol=self.name,
            name=endpoint.name,
            port=endpoint.port,
            transport=self.transport,
            identity=endpoint.identity,
            fragment=self.fragment,
            tool="toy",
            shared="password",
            config=_file(f"/etc/toy/{endpoint.name}.conf", "600", "\n".join(lines) + "\n", held),
            unit=f"toy@{endpoint.name}.service",
            peers={tag: WantedPeer(tag, secret) for tag, secret in people.items()},
            cut=cut,
            forward_rule=endpoint.forward_rule,
            removed=endpoint.removed,
            files=(_file(UNIT, "644", UNIT_TEXT),),
        )

    def client_config(self, endpoint: EndpointSpec, public_host: str, peer: PeerSpec, _secret: Secret | None) -> Secret:
        if peer.shared is None:
            raise ValueError("a client needs its password")
        return Secret(f"toy://{peer.shared.reveal()}@{public_host}:{endpoint.port}#{peer.identity}\n")

    def client_forms(
        self, _endpoint: EndpointSpec, _public_host: str, _peer: PeerSpec, _secret: Secret | None
    ) -> Mapping[str, Secret]:
        return {}

    def entry(
        self, _kind: ClientKind, _endpoint: EndpointSpec, _host: str, _peer: PeerSpec, _secret: Secret | None
    ) -> Entry | None:
        return None

    def observe(self, records: Sequence[str]) -> tuple[str, int, dict[str, SeenPeer]]:
        head, *rows = (record.split("\t") for record in records)
        if len(head) != HEAD or any(len(row) != FIELDS for row in rows):
            raise ValueError("a record that is none")
        found = {
            tag: SeenPeer(tag, _shared(secret), frozenset(), None, int(rx), int(tx)) for tag, secret, rx, tx in rows
        }
        return head[0], int(head[1]), found

    def named(self, text: str) -> Secret:
        return Secret(text)

    def conversation(
        self, _server_identity: str, _own: Credentials, _options: Mapping[str, Any], _secret: Secret | None = None
    ) -> None:
        return None


def _shared(text: str) -> Secret | SeenShared | None:
    return SeenShared(text) if text in tuple(SeenShared) else Secret(text)


def _file(path: str, mode: str, text: str, held: tuple[Secret, ...] = ()) -> File:
    return File(path, mode, Secret(text), hashlib.sha256(text.encode()).hexdigest(), held)


PLUGIN = Toy()

# What follows is no part of the product: the same toy as the in-memory node runs it.


class ToyPart:
    """A toy server on an in-memory node: name -> [identity, port, {tag: [secret, rx, tx]}, epoch]."""

    prefix = "toy"

    def __init__(self, node: FakeNode) -> None:
        self.node = node
        self.running: dict[str, list[Any]] = {}
        self.epoch = 0

    def identities(self, name: str) -> set[str]:
        return set(self.running[name][2]) if name in self.running else set()

    def start(self, name: str) -> None:
        self.epoch += 1
        self.running[name] = ["", 0, {}, self.epoch]
        self.sync(name, f"/etc/toy/{name}.conf")

    def stop(self, name: str) -> None:
        self.running.pop(name, None)
        self._listen()

    def cut(self, name: str, identities: Sequence[str]) -> None:
        for each in identities:
            self.running[name][2].pop(each, None)

    def sync(self, name: str, path: str) -> None:
        live = self.running[name]
        people = {}
        for line in self.node.files[path][1].decode().splitlines():
            what, *rest = line.split()
            if what == "server":
                live[0] = rest[0]
            elif what == "listen":
                live[1] = int(rest[0])
            elif what == "user":
                people[rest[0]] = [rest[1], *live[2].get(rest[0], ["", 0, 0])[1:]]
        live[2] = people
        self._listen()

    def _listen(self) -> None:
        self.node.listening = {live[1] for live in self.running.values()}

    def _filed(self, path: str) -> dict[str, str]:
        lines = self.node.files.get(path, ("", b""))[1].decode().splitlines()
        return dict(line.split()[1:3] for line in lines if line.startswith("user "))

    def look(self, name: str, path: str) -> list[str]:
        if name not in self.running:
            return [f"fact\ttcp_ports\t{self.node.facts.get('tcp_ports', '')}"]
        identity, port, people, epoch = self.running[name]
        filed = self._filed(path)
        said = [f"served\t{name}\t{epoch}", f"|{identity}\t{port}"]
        for tag, (secret, rx, tx) in people.items():
            shown = secret if tag not in filed else "(same)" if filed[tag] == secret else "(other)"
            said.append(f"|{tag}\t{shown}\t{rx}\t{tx}")
        return said + [f"filed\t{name}\t{tag}" for tag in filed if tag not in people]

    def shared(self, name: str, identities: Sequence[str]) -> list[str]:
        return [self.running[name][2][each][0] for each in identities]
