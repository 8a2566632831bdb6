"""An event as others read it, on the bus (docs/events.md). Version 1; fields are only ever added."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, Protocol

VERSION = 1
EVENTS, WORK = "vpnctl.events", "vpnctl.work.node"
_TOKEN = re.compile(r"[^a-z0-9_-]")


class EventFields(Protocol):
    """What is read of an event."""

    @property
    def seq(self) -> int:
        """Its number: rising, never used again."""

    @property
    def at(self) -> datetime:
        """When it happened."""

    @property
    def actor(self) -> str:
        """Who did it."""

    @property
    def verb(self) -> str:
        """What was done, such as `peer.revoke`."""

    @property
    def subject(self) -> str:
        """To whom or what, as people call it."""

    @property
    def subject_id(self) -> str:
        """Its id."""

    @property
    def before(self) -> Any:
        """Details before."""

    @property
    def after(self) -> Any:
        """Details after."""

    @property
    def run_id(self) -> str:
        """The id of the command or job."""


def subject(verb: str) -> str:
    """Return the subject on the bus of events of a verb: `vpnctl.events.peer.revoke`."""
    return ".".join((EVENTS, *(_TOKEN.sub("_", part) for part in verb.lower().split("."))))


def document(event: EventFields) -> dict[str, Any]:
    """Return an event as a JSON object."""
    return {
        "version": VERSION,
        "seq": event.seq,
        "at": event.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "verb": event.verb,
        "actor": event.actor,
        "subject": {"id": event.subject_id, "name": event.subject},
        "before": event.before,
        "after": event.after,
        "run": event.run_id,
    }


def text(event: EventFields) -> bytes:
    """Return the same as bytes."""
    return json.dumps(document(event), ensure_ascii=False, default=str).encode()
