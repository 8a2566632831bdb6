"""WireGuard servers that somebody else set up: wg-quick's files as people and installers write them, wg-easy's data.

Pure. Formats: wg(8) and wg-quick(8) (keys in any case, blanks, comments behind values); names of peers in comments as
PiVPN, angristan's installer, wg-easy and exporters write them; wg-easy 14 `wg0.json`, wg-easy 15 `wg-easy.db`.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vpnctl.errors import InvalidInput
from vpnctl.protocols.foreign import ForeignPeer, ForeignServer
from vpnctl.protocols.wireguard.handshake import public_key
from vpnctl.rules import grammar
from vpnctl.rules.secret import Secret

HOOKS = {each.lower(): each for each in ("PreUp", "PostUp", "PreDown", "PostDown", "Table", "FwMark")}
"""What is kept as it is: it may make the server's packets pass."""
_NAMES = (
    re.compile(r"#*\s*begin\s+(.+?)\s*#*", re.I),
    re.compile(r"#*\s*client:?\s+(.+?)(?:\s*\([0-9a-f-]{36}\))?", re.I),
    re.compile(r"(?:friendly_)?name\s*[=:]\s*(.+)", re.I),
    re.compile(r"#*\s*(.+?)\s*#*"),
)
_NO_NAME = re.compile(r"#*\s*(end\s.*|peer [0-9a-f-]{36}|probe|alien|vpnctl endpoint .*|written by vpnctl.*)#*", re.I)
"""Ends of blocks, and our own comments."""


@dataclass
class _Section:
    kind: str
    line: int
    name: str = ""
    values: dict[str, list[str]] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)

    def one(self, key: str) -> str:
        return self.values.get(key, [""])[-1]


def parse(text: str) -> ForeignServer:
    """Return the server in a wg-quick file. InvalidInput with the line for what cannot be taken over."""
    sections = list(_sections(text))
    heads = [each for each in sections if each.kind == "interface"]
    if len(heads) != 1:
        raise InvalidInput(f"the file has {len(heads)} [Interface] sections", "one is expected")
    head = heads[0]
    if head.one("saveconfig").lower() == "true":
        raise InvalidInput(
            "SaveConfig = true: wg-quick would write over what vpnctl writes, whenever it stops",
            "on the server: wg-quick save IF, take that line out of the file, then adopt it",
        )
    secret = _key(head.one("privatekey"), f"the private key of line {head.line}")
    peers = tuple(_peer(each) for each in sections if each.kind == "peer")
    port, mtu = head.one("listenport"), head.one("mtu")
    if not port:
        raise InvalidInput("the file has no ListenPort: clients could not find the server again", "add one")
    return ForeignServer(
        secret,
        _public(secret),
        grammar.port(port),
        tuple(part.strip() for line in head.values.get("address", []) for part in line.split(",") if part.strip()),
        grammar.whole(mtu, "MTU", grammar.MIN_MTU, grammar.MAX_MTU) if mtu else None,
        tuple(head.kept),
        _merged(peers),
    )


def interface(text: str) -> dict[str, str]:
    """Return what the [Interface] of such a file says, by lower-case key, the last word for each."""
    head = next((each for each in _sections(text) if each.kind == "interface"), None)
    return {key: values[-1] for key, values in head.values.items()} if head else {}


def amnezia_names(text: str) -> dict[str, str]:
    """Return public key -> name from AmneziaVPN's `clientsTable`. InvalidInput for another file."""
    try:
        rows = json.loads(text)
        return {str(row["clientId"]): grammar.clean(str(row["userData"]["clientName"]), 60) for row in rows}
    except (ValueError, KeyError, TypeError):
        raise InvalidInput("that is not AmneziaVPN's clientsTable", "it lies beside the server's file") from None


def _sections(text: str) -> Iterator[_Section]:
    current: _Section | None = None
    comments: list[str] = []
    for number, raw in enumerate(text.replace("\r", "\n").split("\n"), 1):
        line, _, comment = raw.partition("#")
        line = line.strip()
        if not line:
            comments += [comment.strip()] if comment.strip() else []
            if current is not None and not current.values and current.kind == "peer" and not current.name:
                current.name = _named(comments)
            continue
        if line.startswith("["):
            if current is not None:
                yield current
            current = _Section(line.strip("[] \t").lower(), number, _named(comments))
            if current.kind not in ("interface", "peer"):
                raise InvalidInput(
                    f"line {number}: there is no such section in a file of wg-quick", "look at that line"
                )
        else:
            _take(current, number, line)
        comments = []
    if current is not None:
        yield current


def _take(section: _Section | None, number: int, line: str) -> None:
    key, mark, value = (part.strip() for part in line.partition("="))
    if section is None or not mark or not key.isalnum():
        raise InvalidInput(f"line {number} is no `Key = Value` of a section", "look at that line")
    section.values.setdefault(key.lower(), []).append(value)
    if section.kind == "interface" and key.lower() in HOOKS:
        if not value.isprintable():
            raise InvalidInput(f"line {number} holds control characters", "look at that line")
        section.kept.append(f"{HOOKS[key.lower()]} = {value}")


def _named(comments: Sequence[str]) -> str:
    for comment in reversed(comments):
        if not comment.strip("# ") or _NO_NAME.fullmatch(comment.strip()):
            continue
        for form in _NAMES:
            found = form.fullmatch(comment.strip())
            if found:
                return grammar.clean(found[1].strip(), 60)
    return ""


def _peer(section: _Section) -> ForeignPeer:
    where = f"of line {section.line}"
    try:
        identity = grammar.key(section.one("publickey"), "public key")
    except InvalidInput:
        raise InvalidInput(f"the peer {where} has no valid PublicKey", "look at that line") from None
    shared = section.one("presharedkey")
    ips = [part.strip() for line in section.values.get("allowedips", []) for part in line.split(",") if part.strip()]
    return ForeignPeer(
        identity, _key(shared, f"the preshared key {where}") if shared else None, _networks(ips, where), section.name
    )


def _networks(parts: Sequence[str], where: str) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(each, strict=False)) for each in parts)
    except ValueError:
        raise InvalidInput(f"the peer {where} has AllowedIPs that are no networks", "look at that line") from None


def _key(text: str, what: str) -> Secret:
    try:
        return Secret(grammar.key(text, "key"))
    except InvalidInput:
        raise InvalidInput(f"{what} is no key of WireGuard", "44 characters of base64") from None


def _public(secret: Secret) -> str:
    return public_key(base64.b64decode(secret.reveal()))


def _merged(peers: Sequence[ForeignPeer]) -> tuple[ForeignPeer, ...]:
    """Return each key once, as the kernel has it: an address belongs to the last peer that claims it."""
    last = {each.identity: each for each in peers}
    owner = {ip: each.identity for each in last.values() for ip in each.allowed_ips}
    return tuple(
        replace(each, allowed_ips=tuple(ip for ip in each.allowed_ips if owner[ip] == each.identity))
        for each in last.values()
    )


def client(text: str) -> tuple[str, Secret] | None:
    """Return (public key, private key) of a client's file; None where it is none, or has no key."""
    try:
        head = next((each for each in _sections(text) if each.kind == "interface"), None)
        secret = _key(head.one("privatekey"), "a client's key") if head is not None else None
    except InvalidInput:
        return None
    return (_public(secret), secret) if secret is not None else None


def wg_easy_14(text: str, port: int) -> ForeignServer:
    """Return the server in wg-easy's `wg0.json`; its port is a setting of the container's."""
    try:
        data = json.loads(text)
        own = _key(data["server"]["privateKey"], "the server's key")
        peers = [_easy(each, f"{each['address']}/32") for each in data["clients"].values()]
        address = ipaddress.ip_address(data["server"]["address"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidInput("that is not wg-easy's wg0.json", "it is in the volume of its container") from None
    return ForeignServer(own, _public(own), port, (f"{address}/24",), None, (), tuple(peers))


def _easy(client_: Mapping[str, object], *ips: str) -> ForeignPeer:
    def text(*names: str) -> str:
        return next((str(client_[name]) for name in names if client_.get(name)), "")

    secret, shared = text("privateKey", "private_key"), text("preSharedKey", "pre_shared_key")
    return ForeignPeer(
        grammar.key(text("publicKey", "public_key"), "public key"),
        _key(shared, "a preshared key") if shared else None,
        _networks(ips, "in its data"),
        grammar.clean(text("name"), 60),
        _key(secret, "a client's key") if secret else None,
        bool(client_.get("enabled", True)),
    )


def wg_easy_15(server: Mapping[str, object], clients: Sequence[Mapping[str, object]]) -> ForeignServer:
    """Return the server in the rows of wg-easy's tables `interfaces_table` and `clients_table`."""
    try:
        own = _key(str(server["private_key"]), "the server's key")
        nets = [ipaddress.ip_network(str(server[name]), strict=False) for name in ("ipv4_cidr", "ipv6_cidr")]
        addresses = tuple(f"{net.network_address + 1}/{net.prefixlen}" for net in nets)
        peers = tuple(_easy(each, f"{each['ipv4_address']}/32", f"{each['ipv6_address']}/128") for each in clients)
        port, mtu = int(str(server["port"])), int(str(server["mtu"]))
    except (ValueError, KeyError):
        raise InvalidInput("that is not wg-easy's database", "wg-easy.db, in the volume of its container") from None
    return ForeignServer(own, _public(own), port, addresses, mtu, (), peers)
