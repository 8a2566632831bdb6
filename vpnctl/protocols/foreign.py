"""What is taken over when a server that somebody else set up becomes ours, whatever it speaks. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from vpnctl.rules.observed import SeenPeer
from vpnctl.rules.secret import Secret

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class ForeignPeer:
    """A peer of such a server. `secret` is what only its client needs, where somebody kept it."""

    identity: str
    shared: Secret | None
    allowed_ips: tuple[str, ...]
    name: str
    secret: Secret | None = None
    enabled: bool = True
    odd: str = ""
    """Why it cannot be a device as it is, where its data says so."""
    limited: bool = False
    """Whether the server limited it by itself so far."""


@dataclass(frozen=True)
class ForeignServer:
    """Such a server. `addresses` are its own with prefix lengths, `hooks` lines of its file that are kept."""

    secret: Secret
    identity: str
    port: int
    addresses: tuple[str, ...]
    mtu: int | None
    hooks: tuple[str, ...]
    peers: tuple[ForeignPeer, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    """What else its protocol has, as options of an endpoint."""


def named(server: ForeignServer, names: Mapping[str, str]) -> ForeignServer:
    """Return it with names for peers that have none, by identity."""
    return replace(
        server, peers=tuple(replace(each, name=each.name or names.get(each.identity, "")) for each in server.peers)
    )


def with_secrets(server: ForeignServer, known: Mapping[str, Secret]) -> ForeignServer:
    """Return it with the secrets of peers that somebody kept."""
    peers = tuple(replace(each, secret=each.secret or known.get(each.identity)) for each in server.peers)
    return replace(server, peers=peers)


class ClientAdopter(Protocol):
    """How clients are taken over that somebody else put into a server which we share, such as a panel's."""

    def unfit(self, options: Mapping[str, Any], peer: SeenPeer) -> str:
        """Return why a client cannot be a device as it is; empty where it can."""

    def lifts(self, peer: SeenPeer) -> bool:
        """Return whether the server limits a client by itself, which ends when it is ours."""


class Adopter(Protocol):
    """How servers of a protocol are taken over."""

    clients: tuple[str, ...]
    """Patterns of paths where installers leave the files of clients."""
    tables: tuple[str, ...]
    """Of the database of another program that keeps such servers; the server's first, then its peers'."""

    interface: str
    """What it is called unless told."""
    folder: tuple[str, ...]
    """Names of the server's file in a folder of another program's."""
    beside: str
    """The name of the file there that says who the peers are, or how they are called."""

    def path(self, interface: str) -> str:
        """Return where the server's file is."""

    def unit(self, interface: str) -> str:
        """Return the unit that must hold it up."""

    def cure(self, interface: str) -> str:
        """Return what to type on a server that its unit does not hold up."""

    def parse(self, text: str) -> ForeignServer:
        """Return the server in its file. InvalidInput with the line for what cannot be taken over."""

    def data(self, text: str, port: int) -> ForeignServer:
        """Return the server in another program's data, or in a copy of its file; `port` where that does not say it."""

    def called(self, text: str) -> Mapping[str, str]:
        """Return identity -> name from that file. InvalidInput for another one."""

    def peopled(self, server: ForeignServer, first: Rows, second: Rows) -> ForeignServer:
        """Return the server with the peers in the rows of `tables`, where that file is a database."""

    def database(self, server: Rows, peers: Rows) -> ForeignServer:
        """Return the server in the rows of `tables`."""

    def client(self, text: str) -> tuple[str, Secret] | None:
        """Return (identity, secret) of a client's file; None where it is none, or has no secret."""

    def options(self, server: ForeignServer) -> dict[str, Any]:
        """Return the options of an endpoint that is this server. InvalidInput where it cannot be kept as it is."""

    def unfit(self, options: Mapping[str, Any], peer: ForeignPeer, taken: set[str]) -> str:
        """Why a peer cannot be a device as it is, beside the addresses that are taken; empty where it can."""
