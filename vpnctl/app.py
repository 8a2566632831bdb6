"""The wiring: everything a verb needs, in one frozen value."""

from __future__ import annotations

import getpass
import os
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vpnctl.remote.shell import Login, Shell
    from vpnctl.settings import Settings
    from vpnctl.store.engine import Store
    from vpnctl.store.vault import Vault

SSH_KEY, SSH_PUBLIC, RECOVERY_PUBLIC, RECOVERY_COPY, RECOVERY_CONFIRMED = (
    "ssh_key",
    "ssh_public",
    "recovery_public",
    "recovery_copy",
    "recovery_confirmed",
)
"""Names of the service's own values in the table `meta`."""


Progress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""How long work shows itself: (what, total) gives a context whose value is called once per finished item."""


def silent(_what: str, _total: int) -> AbstractContextManager[Callable[[], None]]:
    """Show nothing."""
    return nullcontext(lambda: None)


@dataclass(frozen=True)
class App:
    """Handed to every verb. `clock` returns aware UTC; `actor` is who acts, such as `cli:root` or `job:sync`."""

    settings: Settings
    store: Store
    vault: Vault
    connect: Callable[[Login], Shell]
    actor: str
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    progress: Progress = silent
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))


def whoami() -> str:
    """Return the name of the person at the command line, through sudo."""
    name = os.environ.get("SUDO_USER") or getpass.getuser()
    return f"cli:{name}"


def open_app(settings: Settings, actor: str, progress: Progress = silent) -> App:
    """Open the database and return the app. Raises StateTrouble when it cannot be used, Busy during an upgrade."""
    from vpnctl.store.engine import Store
    from vpnctl.store.vault import Vault

    store = Store(settings.database_url)
    vault = Vault(settings.key_file)
    return App(settings, store, vault, _connector(store, vault), actor, progress=progress)


def _connector(store: Store, vault: Vault) -> Callable[[Login], Shell]:
    def connect(login: Login) -> Shell:
        if login.kind == "local":
            from vpnctl.remote.local import LocalShell

            return LocalShell(login)
        from vpnctl.remote.ssh import SshShell
        from vpnctl.store.vault import NIL

        with store.read() as tx:
            sealed = tx.meta(SSH_KEY)
        return SshShell(login, vault.open("meta.ssh_key", NIL, sealed or ""))

    return connect
