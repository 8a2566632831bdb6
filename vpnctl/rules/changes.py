"""A difference between a node and what it must look like is a value: one class per kind, text only when it is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

PEOPLE, SYSTEM = "people", "system"
"""Scopes: changes of `people` are made by every settle; those of `system` only by provision and sync."""


@dataclass(frozen=True)
class Change:
    """One difference. Its texts are for people and JSON; nothing is decided by them.

    `kind` names the class; `about` and `how` are templates over the fields: what differs, and how or what will be done.
    """

    kind: ClassVar[str]
    about: ClassVar[str]
    how: ClassVar[str] = ""
    scope: ClassVar[str] = PEOPLE

    @property
    def subject(self) -> str:
        """What differs, as text."""
        return self.about.format(**vars(self))

    @property
    def detail(self) -> str:
        """How it differs, or what will be done; may be empty."""
        return self.how.format(**vars(self))

    @property
    def advice(self) -> str:
        """What to type where vpnctl does not mend it by itself; empty where settling does."""
        return ""

    @property
    def mends(self) -> bool:
        """Whether settling makes this change."""
        return not self.advice

    def plain(self) -> dict[str, str]:
        """Return what JSON shows of it."""
        return {name: str(getattr(self, name)) for name in ("kind", "subject", "detail", "scope", "advice")}

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True)
class PackageMissing(Change):
    """A package is not installed."""

    kind = "package"
    about = "{package}"
    how = "install"
    scope = SYSTEM
    package: str


@dataclass(frozen=True)
class ProgramMissing(Change):
    """A program that no package brings is not installed."""

    kind = "program"
    about = "{program}"
    how = "install"
    scope = SYSTEM
    program: str


class ForwardingOff(Change):
    """The kernel does not forward packets."""

    kind = "sysctl"
    about = "forwarding"
    how = "off"
    scope = SYSTEM


@dataclass(frozen=True)
class FileDiffers(Change):
    """A file of ours is missing, has other contents, or another mode."""

    kind = "write"
    about = "{path}"
    how = "{found}"
    path: str
    found: str


class SystemFileDiffers(FileDiffers):
    """The same of a file that only provision and sync write."""

    scope = SYSTEM


@dataclass(frozen=True)
class FileLeft(Change):
    """A file of ours that must not be there any more, of an endpoint that stays."""

    kind = "remove"
    about = "{path}"
    scope = SYSTEM
    path: str


@dataclass(frozen=True)
class UnitOff(Change):
    """A unit is not enabled."""

    kind = "start unit"
    about = "{unit}"
    how = "not enabled"
    scope = SYSTEM
    unit: str


@dataclass(frozen=True)
class OfEndpoint(Change):
    """A difference of one endpoint's live state."""

    about = "{name}"
    name: str


@dataclass(frozen=True)
class EndpointLeft(OfEndpoint):
    """A removed endpoint is still there."""

    kind = "remove endpoint"
    how = "{protocol}"
    protocol: str


class RulesMissing(OfEndpoint):
    """Our firewall table is not loaded."""

    kind = "load firewall"
    scope = SYSTEM


@dataclass(frozen=True)
class HostRulesMissing(OfEndpoint):
    """What we added to the host's own firewall is gone, or something was put before it."""

    kind = "load firewall"
    how = "{what}"
    scope = SYSTEM
    what: str


@dataclass(frozen=True)
class UfwClosed(OfEndpoint):
    """The host's ufw does not let our packets pass."""

    kind = "open ufw"
    how = "port {port}{more}"
    scope = SYSTEM
    port: int
    more: str = ""


class EndpointDown(OfEndpoint):
    """It does not run."""

    kind = "not running"
    how = "run: vpnctl node sync"
    scope = SYSTEM


class InterfaceMissing(EndpointDown):
    """There is no such interface."""

    kind = "interface down"


class InboundOff(EndpointDown):
    """The panel has no such inbound any more, or it is switched off there."""

    kind = "inbound off"
    how = "bring it back in the panel"


@dataclass(frozen=True)
class ParameterDiffers(OfEndpoint):
    """Port or MTU is another one than wanted."""

    kind = "parameter drift"
    how = "{what}"
    what: str


@dataclass(frozen=True)
class ConnectionsLeft(OfEndpoint):
    """People who may not connect any more have connections that are still open."""

    kind = "open connections"
    how = "{count} of people who were cut off: end them"
    count: int


class Carrying(OfEndpoint):
    """Something that an interface needs to carry packets, and lacks."""


class LinkDown(Carrying):
    """The interface was taken down; then it has no routes either."""

    kind = "interface not up"
    how = "set up"


@dataclass(frozen=True)
class AddressMissing(Carrying):
    """The interface lost an address."""

    kind = "missing address"
    how = "{address}"
    address: str


@dataclass(frozen=True)
class RouteMissing(Carrying):
    """The interface lost a route."""

    kind = "missing route"
    how = "{route}"
    route: str


@dataclass(frozen=True)
class OfPeer(OfEndpoint):
    """A difference of one peer. `whose` is what people call it, where that is known."""

    identity: str
    whose: str = field(default="", kw_only=True)

    @property
    def subject(self) -> str:
        """Return the endpoint and the device, or its identity."""
        return f"{self.name} {self.whose or self.identity}"


class PeerMissing(OfPeer):
    """A peer that must be there is not."""

    kind = "missing peer"
    how = "add"


class PeerStale(OfPeer):
    """A peer of ours that must not be there is."""

    kind = "stale peer"
    how = "remove"


class PeerAlien(OfPeer):
    """A peer that nobody here knows; it is kept."""

    kind = "alien peer"
    how = "record, keep"


@dataclass(frozen=True)
class PeerDiffers(OfPeer):
    """A peer is there with other allowed IPs, or another shared secret."""

    kind = "parameter drift"
    how = "{what}"
    what: str


class AddressTaken(PeerDiffers):
    """A peer lost an address of its own to another one that claims it too."""

    kind = "duplicate allowed IPs"
