"""What one node must look like, whatever its protocols are."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_interface

from vpnctl.rules.secret import Secret


@dataclass(frozen=True)
class File:
    """A whole file as it must be on the node. `mode` is octal text such as `600`."""

    path: str
    mode: str
    text: Secret
    digest: str
    """sha256 of the text, hex."""
    secrets: tuple[Secret, ...] = ()
    """What of the text nobody may read elsewhere."""


@dataclass(frozen=True)
class Archive:
    """A program that comes in a zip archive, where no package brings it."""

    program: str
    """Its name, in the archive and on the node."""
    builds: tuple[tuple[str, str, str], ...]
    """(machine as `uname -m` says it, URL, sha256 of the archive in hex)."""


@dataclass(frozen=True)
class Repository:
    """A package repository of a program's makers, for packages that the sources of a server lack."""

    name: str
    """Of its files on the server."""
    packages: tuple[str, ...]
    url: str
    suites: tuple[tuple[str, str], ...]
    """(code name of a Debian, suite for it); an Ubuntu has its own name there."""
    key_url: str
    fingerprint: str
    """Of the key that signs it: 40 hex digits, capitals."""
    origin: str
    """What it calls itself in its Release file."""


@dataclass(frozen=True)
class WantedPeer:
    """One peer as the node's live state must have it."""

    identity: str
    shared: Secret | None
    allowed_ips: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Interface:
    """The network interface of an endpoint that has one, and how many bytes its protocol adds to a packet."""

    mtu: int
    addresses: tuple[str, ...]
    """Its own ones with their prefix lengths; each brings the route to its network."""
    overhead: int

    @property
    def routes(self) -> tuple[str, ...]:
        """The networks whose packets must find the interface."""
        return tuple(str(ip_interface(each).network) for each in self.addresses)


@dataclass(frozen=True)
class WantedEndpoint:
    """One endpoint as it must be on the node."""

    endpoint_id: str
    protocol: str
    name: str
    port: int
    transport: str
    identity: str
    fragment: str
    """What the functions of its part of the node script begin with."""
    tool: str
    """The program that this part calls."""
    shared: str
    """What people call the secret that a peer and the node share, such as `preshared key`."""
    config: File
    """The file that holds the people."""
    unit: str
    """What runs it."""
    peers: dict[str, WantedPeer]
    cut: frozenset[str]
    """Identities of ours that must not be there."""
    forward_rule: str = "none"
    """`none`, `docker`, `ufw` or `iptables`: whose firewall on the host must let our packets pass."""
    removed: bool = False
    interface: Interface | None = None
    firewall: File | None = None
    """Rules of our own, loaded by a unit of our own."""
    drop_in: File | None = None
    """Extra lines for that unit on hosts whose own firewall drops what is forwarded."""
    absent: tuple[str, ...] = ()
    """Files that belong to another forward rule."""
    files: tuple[File, ...] = ()
    """Further files; like the firewall's only provision and sync write them."""
    tries_alone: bool = False
    """Whether packets can be tried through it without an address of its pools."""
    resting: frozenset[str] = frozenset()
    """Identities among `cut` that may come back: where they can stand disabled, they are kept so."""
    inbound: int | None = None
    """Its number in a panel of somebody else's; then `config` is only compared, and never written."""
    tested: bool = False
    """Whether its program tests the file with the people before that is published."""

    @property
    def system_files(self) -> tuple[File, ...]:
        """All files but that with the people."""
        return tuple(file for file in (self.firewall, self.drop_in, *self.files) if file)


@dataclass(frozen=True)
class Desired:
    """What one node must look like."""

    endpoints: tuple[WantedEndpoint, ...]
    system_files: tuple[File, ...]
    packages: tuple[tuple[str, str], ...]
    """(Debian package, program that it brings); what counts is that the program is there. In place of a program a
    function of the protocol's part of the node script may be named, which finds out."""
    archives: tuple[Archive, ...] = ()
    repositories: tuple[Repository, ...] = ()
    sealed: tuple[str, ...] = ()
    """Devices (`user/device`) whose secrets do not open: they are left out, and named."""
