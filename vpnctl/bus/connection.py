"""A connection to NATS for threads: its own loop in a thread, reconnecting for ever."""

from __future__ import annotations

import asyncio
import contextlib
import stat
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vpnctl.errors import InvalidInput, StateTrouble, Unreachable, adding
from vpnctl.settings import Settings

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext

T = TypeVar("T")
SECONDS, RETRY = 10.0, 1.0


class BusTrouble(Unreachable):
    """NATS does not answer, or JetStream refuses."""

    usual_hint = "is nats-server running with JetStream? vpnctl bus show"


class Bus:
    """One connection. What is called on it raises BusTrouble when that goes wrong or takes too long."""

    def __init__(self, settings: Settings) -> None:
        if not settings.nats_url:
            raise InvalidInput("there is no bus", "set nats_url (docs/events.md)")
        try:
            import nats
        except ImportError:
            raise StateTrouble("the bus needs nats-py", adding("nats-py>=2.11")) from None
        if settings.nats_credentials is not None:
            _refuse_open_file(settings.nats_credentials)
        self._nats, self._settings = nats, settings
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nats", daemon=True)
        self._thread.start()
        self._client: Client | None = None

    def call(self, work: Callable[[JetStreamContext], Awaitable[T]], seconds: float = SECONDS) -> T:
        """Connect where that was not done yet, do the work with JetStream, and return what it returned."""

        async def done() -> T:
            return await asyncio.wait_for(work((await self._connected()).jetstream(timeout=seconds)), seconds)

        try:
            return asyncio.run_coroutine_threadsafe(done(), self._loop).result(seconds + SECONDS)
        except (self._nats.errors.Error, OSError, TimeoutError) as error:
            raise BusTrouble(f"NATS: {type(error).__name__}") from None

    def is_up(self) -> bool:
        """Return whether it is connected now."""
        return self._client is not None and self._client.is_connected

    def close(self) -> None:
        """Close it."""

        async def end() -> None:
            with contextlib.suppress(OSError, self._nats.errors.Error):
                if self._client is not None:
                    await self._client.close()
            await asyncio.sleep(0)  # the sockets are closed by what the loop does next
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._loop.close()

    async def _connected(self) -> Client:
        if self._client is not None and not self._client.is_closed:
            return self._client
        options: dict[str, Any] = {"user_credentials": str(path)} if (path := self._settings.nats_credentials) else {}
        self._client = await self._nats.connect(
            self._settings.nats_url,
            name="vpnctl",
            connect_timeout=5,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RETRY,
            error_cb=_silent,
            disconnected_cb=_nothing,
            closed_cb=_nothing,
            allow_reconnect=True,
            **options,
        )
        return self._client


def _refuse_open_file(path: Path) -> None:
    """Raise StateTrouble for a file of secrets that others can read, or that is not there."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise StateTrouble(f"cannot use {path}: {error.strerror}", "set nats_credentials") from None
    if mode & 0o077:
        raise StateTrouble(f"{path} can be read by others (mode {mode:04o})", f"chmod 600 {path}")


async def _silent(_error: Exception) -> None:
    """Whoever calls hears of it."""


async def _nothing() -> None:
    """See above."""
