"""The web process in a thread of the tests, on a port of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from vpnctl.actions.service import apikeys
from vpnctl.app import App
from vpnctl.rules.scopes import Scope
from vpnctl.serving_settings import Listen
from vpnctl.web import run

PUBLIC = "https://vpn.example.org"


@dataclass
class Site:
    """A running site. `client` comes without a key."""

    app: App
    url: str
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.url, timeout=30)

    def key(self, *scopes: str, name: str = "ops", days: int | None = None) -> str:
        """Return a new key with these scopes, or all."""
        return apikeys.add(self.app, name, scopes or tuple(Scope), days).key.reveal()

    def api(self, *scopes: str, name: str = "ops") -> httpx.Client:
        """Return a client with a key."""
        made = {"Authorization": f"Bearer {self.key(*scopes, name=name)}"}
        return httpx.Client(base_url=f"{self.url}/api/v1", headers=made, timeout=30)


def free() -> Listen:
    """Return a port of loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Listen(*probe.getsockname())


@contextmanager
def serving(app: App, telegram: Any = None, **settings: Any) -> Iterator[Site]:
    """Serve in a thread."""
    listen = free()
    known = replace(app, settings=replace(app.settings, web_listen=listen, web_url=PUBLIC, **settings))
    site, stop = Site(known, f"http://{listen}"), threading.Event()
    failed: list[BaseException] = []

    def serve() -> None:
        try:
            run.run(known, site.log.append, stop, telegram)
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        for _ in range(200):
            if failed:
                raise failed[0]
            try:
                site.client.get("/healthz")
                break
            except httpx.TransportError:
                threading.Event().wait(0.05)
        yield site
    finally:
        site.client.close()
        stop.set()
        thread.join(20)
        assert not thread.is_alive()
