"""The wiring: everything a verb needs, in one frozen value."""

from __future__ import annotations

import getpass
import os
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from vpnctl.errors import InvalidInput
from vpnctl.rules.grammar import clean

if TYPE_CHECKING:
    from vpnctl.protocols.conversation import Conversation
    from vpnctl.remote.probe import Handshake, Stamp
    from vpnctl.remote.shell import Login, Shell
    from vpnctl.rules.exchange import HttpAnswer, HttpCall
    from vpnctl.settings import Settings
    from vpnctl.store.engine import Store
    from vpnctl.store.vault import Vault

SSH_KEY, SSH_PUBLIC, RECOVERY_PUBLIC, RECOVERY_COPY, RECOVERY_CONFIRMED, CLOCK = (
    "ssh_key",
    "ssh_public",
    "recovery_public",
    "recovery_copy",
    "recovery_confirmed",
    "clock",
)
"""Names of the service's own values in the table `meta`."""


CHAT_MOVED = "chat_moved:"
"""Of meta too: with a chat id of the settings behind it, the id that Telegram says the chat has now."""

Progress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""How long work shows itself: (what, total) gives a context whose value is called once per finished item."""


def silent(_what: str, _total: int) -> AbstractContextManager[Callable[[], None]]:
    """Show nothing."""
    return nullcontext(lambda: None)


def machine_uptime() -> tuple[str, float]:
    """Return (boot id, seconds since boot, sleep included); on other systems than Linux an id of no meaning."""
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return boot_id, time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, AttributeError):
        return "", time.monotonic()


def network_shake(host: str, port: int, talk: Conversation | None, stamp: Stamp) -> Handshake:
    """Shake hands over UDP, or open a TCP connection where there is nothing to talk about; see `remote.probe`."""
    from vpnctl.remote.probe import reach, shake

    return reach(host, port) if talk is None else shake(host, port, talk, stamp)


def network_exchange(call: HttpCall) -> HttpAnswer:
    """Send a request over HTTP; see `remote.http`."""
    from vpnctl.remote import http

    return http.exchange(call)


@dataclass(frozen=True)
class App:
    """Handed to every verb. `actor` is who acts, such as `cli:root` or `job:sync`.

    `clock` returns the aware present in the operator's time zone, so that a moment knows its month. `uptime`
    returns (the id of this boot, seconds since it). `connect` and `shake` are the two ways to reach a node,
    `exchange` the one to reach who takes payments.
    """

    settings: Settings
    store: Store
    vault: Vault
    connect: Callable[[Login], Shell]
    actor: str
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    uptime: Callable[[], tuple[str, float]] = machine_uptime
    shake: Callable[[str, int, Conversation | None, Stamp], Handshake] = network_shake
    exchange: Callable[[HttpCall], HttpAnswer] = network_exchange
    progress: Progress = silent
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))


def whoami() -> str:
    """Return the name of the person at the command line, through sudo."""
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as containers have
        name = f"uid {os.getuid()}"
    return f"cli:{clean(name, 40)}"


def open_app(settings: Settings, actor: str, progress: Progress = silent) -> App:
    """Open the database and return the app. Raises StateTrouble when it cannot be used, Busy during an upgrade."""
    from vpnctl.store.engine import Store
    from vpnctl.store.vault import Vault

    store = Store(settings.database_url)
    vault = Vault(settings.key_file, lambda keys: _belongs(store, keys))
    zone = settings.zone
    return App(
        settings,
        store,
        vault,
        _connector(store, vault, settings.login_seconds),
        actor,
        clock=lambda: datetime.now(zone),
        progress=progress,
    )


def _belongs(store: Store, keys: Vault) -> None:
    """Raise StateTrouble when the key file is another database's: what it seals, the right one could not open."""
    from vpnctl.store.vault import NIL

    with store.read() as tx:
        sealed = tx.meta(SSH_KEY)
    if sealed is not None:
        keys.open("meta.ssh_key", NIL, sealed)


def _connector(store: Store, vault: Vault, seconds: float) -> Callable[[Login], Shell]:
    from vpnctl.store.rows import HTTPS

    def connect(login: Login) -> Shell:
        if login.kind == "local":
            from vpnctl.remote.local import LocalShell

            return LocalShell(login)
        if login.kind == HTTPS:
            raise InvalidInput(f"{login.node} is reached by its panel alone", "add the server: vpnctl node add")
        from vpnctl.remote.ssh import SshShell
        from vpnctl.store.vault import NIL

        with store.read() as tx:
            sealed = tx.meta(SSH_KEY)
        return SshShell(login, vault.open("meta.ssh_key", NIL, sealed or ""), seconds)

    return connect
