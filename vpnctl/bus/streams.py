"""The streams, declared as they should be: made where there is none, brought to that where they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vpnctl.bus.connection import Bus
from vpnctl.rules.published import EVENTS, WORK
from vpnctl.settings import Settings

if TYPE_CHECKING:
    from nats.js import JetStreamContext
    from nats.js.api import StreamConfig

EVENT_STREAM, WORK_STREAM, WORKERS = "VPNCTL_EVENTS", "VPNCTL_WORK", "workers"
DAY = 86_400.0
KEPT_DAYS, DUPLICATES = 30, 3600.0
"""How long events are kept on the bus, and for how many seconds a message is recognised that is sent again."""
ACK_SECONDS = 20.0
"""After so long without a word a node's message goes to another worker; who is still at it says so meanwhile."""


@dataclass(frozen=True)
class StreamView:
    """A stream: what it holds, and whether it was made, changed, or as it should be."""

    name: str
    subjects: str
    messages: int
    bytes: int
    state: str


def configs(settings: Settings) -> list[StreamConfig]:
    """Return the streams as they should be."""
    from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

    events = StreamConfig(
        name=EVENT_STREAM,
        subjects=[f"{EVENTS}.>"],
        retention=RetentionPolicy.LIMITS,
        max_age=KEPT_DAYS * DAY,
        max_bytes=settings.nats_event_mib * 1024 * 1024,
        discard=DiscardPolicy.OLD,
        storage=StorageType.FILE,
        num_replicas=settings.nats_replicas,
        duplicate_window=DUPLICATES,
    )
    work = StreamConfig(
        name=WORK_STREAM,
        subjects=[f"{WORK}.*"],
        retention=RetentionPolicy.WORK_QUEUE,
        max_age=DAY,
        max_msgs_per_subject=1,  # a node waits once, however often it was named
        discard=DiscardPolicy.OLD,
        storage=StorageType.FILE,
        num_replicas=settings.nats_replicas,
        duplicate_window=2 * 60.0,
    )
    return [events, work]


def declare(bus: Bus, settings: Settings) -> list[StreamView]:
    """Make the streams and the workers' consumer as they should be. Raises BusTrouble."""

    async def all_(stream: JetStreamContext) -> list[StreamView]:
        views = [await _declare(stream, wanted) for wanted in configs(settings)]
        from nats.js.api import AckPolicy, ConsumerConfig

        consumer = ConsumerConfig(
            durable_name=WORKERS, ack_policy=AckPolicy.EXPLICIT, ack_wait=ACK_SECONDS, max_deliver=-1
        )
        await stream.add_consumer(WORK_STREAM, consumer)
        return views

    return bus.call(all_, 30)


def mirror(bus: Bus, settings: Settings, domain: str) -> list[StreamView]:
    """Have this server keep a copy of the events of another one, named by its JetStream domain. Raises BusTrouble."""

    async def copy(stream: JetStreamContext) -> list[StreamView]:
        from nats.js.api import ExternalStream, StreamSource

        wanted = configs(settings)[0]
        wanted.subjects = None
        wanted.mirror = StreamSource(name=EVENT_STREAM, external=ExternalStream(api=f"$JS.{domain}.API"))
        return [await _declare(stream, wanted)]

    return bus.call(copy, 30)


async def _declare(stream: JetStreamContext, wanted: StreamConfig) -> StreamView:
    from nats.js.errors import NotFoundError

    name = wanted.name or ""
    try:
        before = (await stream.stream_info(name)).config
        state = "as it should be" if _same(before, wanted) else "changed"
        info = await stream.update_stream(wanted)
    except NotFoundError:
        state, info = "made", await stream.add_stream(wanted)
    return StreamView(name, ", ".join(wanted.subjects or ()), info.state.messages, info.state.bytes, state)


def _same(before: StreamConfig, wanted: StreamConfig) -> bool:
    names = (
        "subjects",
        "retention",
        "max_age",
        "max_bytes",
        "max_msgs_per_subject",
        "num_replicas",
        "duplicate_window",
    )
    return all(_plain(getattr(before, name)) == _plain(getattr(wanted, name)) for name in names)


def _plain(value: Any) -> Any:
    return -1 if value is None else value


def shown(bus: Bus, settings: Settings) -> list[StreamView]:
    """Return the streams as they are. Raises BusTrouble."""

    async def all_(stream: JetStreamContext) -> list[StreamView]:
        from nats.js.errors import NotFoundError

        views = []
        for wanted in configs(settings):
            name, subjects = wanted.name or "", ", ".join(wanted.subjects or ())
            try:
                info = await stream.stream_info(name)
                state = "as it should be" if _same(info.config, wanted) else "differs"
                views.append(StreamView(name, subjects, info.state.messages, info.state.bytes, state))
            except NotFoundError:
                views.append(StreamView(name, subjects, 0, 0, "missing"))
        return views

    return bus.call(all_)
