"""Xray (or V2Ray) as an in-memory node runs it: what its part of the node script would say and do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.fakenode import FakeNode

FOLDER = "/etc/vpnctl/xray"


class XrayPart:
    """Cores that run: name -> [the head that it began with, {tag: [secret, up, down]}, epoch]."""

    prefix = "vpnctl-xray"

    def __init__(self, node: FakeNode) -> None:
        self.node = node
        self.running: dict[str, list[Any]] = {}
        self.epoch = 0
        self.ends = 0
        """When the certificate ends; 0: there is none."""
        self.open: set[str] = set()
        """Who has a connection open; a core that does not tell has nobody here."""
        self.deaf = False
        """Says that it did everything, and does nothing."""

    def text(self, path: str) -> str:
        return self.node.files.get(path, ("", b""))[1].decode()

    def filed(self, path: str) -> dict[str, str]:
        rows = [json.loads(line.rstrip(",")) for line in self.text(path).splitlines() if line.startswith('{"email')]
        return {row["email"]: row.get("id") or row["password"] for row in rows}

    def head(self, path: str) -> str:
        return "\n".join(line for line in self.text(path).splitlines() if not line.startswith('{"email'))

    def identities(self, name: str) -> set[str]:
        return set(self.running[name][1]) if name in self.running else set()

    def start(self, name: str) -> None:
        path = f"{FOLDER}/{name}.json"
        self.epoch += 1
        people = {tag: [secret, 0, 0] for tag, secret in self.filed(path).items()}
        self.running[name] = [self.head(path), people, self.epoch]
        self._listen()

    def stop(self, name: str) -> None:
        self.running.pop(name, None)
        self._listen()

    def _listen(self) -> None:
        cores = [part for part in self.node.parts.values() if isinstance(part, XrayPart)]
        heads = [head for part in cores for head, _, _ in part.running.values()]
        self.node.listening = {json.loads(head)["vpnctl"]["port"] for head in heads}

    def cut(self, name: str, identities: Sequence[str]) -> None:
        for each in identities if not self.deaf else ():
            self.running[name][1].pop(each, None)

    def sync(self, name: str, path: str) -> None:
        if self.deaf:
            return
        if self.running[name][0] != self.head(path):
            self.start(name)
        live = self.running[name][1]
        old = {tag: row for tag, row in live.items() if self.filed(path).get(tag) == row[0]}
        self.running[name][1] = {tag: old.get(tag, [secret, 0, 0]) for tag, secret in self.filed(path).items()}

    def look(self, name: str, path: str) -> list[str]:
        if name not in self.running:
            return [f"fact\ttcp_ports\t{self.node.facts.get('tcp_ports', '')}"]
        head, people, epoch = self.running[name]
        known, own = self.filed(path), json.loads(head)["vpnctl"]
        said = [f"served\t{name}\t{epoch}", f"|{own['identity']}\t{own['port']}"]
        for tag, (secret, up, down) in people.items():
            shown = secret if tag not in known else "(same)" if known[tag] == secret else "(other)"
            said.append(f"|{tag}\t{shown}\t{up}\t{down}\t{self.node.now() if tag in self.open else '-'}")
        said += [f"filed\t{name}\t{tag}" for tag in known if tag not in people]
        said += [f"other\t{name}\tsettings"] if head != self.head(path) else []
        return said + ([f"ends\t{name}\t{self.ends}"] if self.ends else [])

    def shared(self, name: str, identities: Sequence[str]) -> list[str]:
        return [self.running[name][1][each][0] for each in identities]


class V2RayPart(XrayPart):
    """The same of V2Ray."""

    prefix = "vpnctl-v2ray"
