"""Serving until told to stop: one port for all, and one of its own for the figures where that is set."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from vpnctl.app import App
from vpnctl.errors import StateTrouble, adding
from vpnctl.serving_settings import Listen
from vpnctl.web.guard import LARGEST_HEAD, LONGEST_ADDRESS

EXTRA = "vpnctl-operator[web]"
HEAD_BYTES = LONGEST_ADDRESS + LARGEST_HEAD
IDLE_SECONDS, LAST_SECONDS = 15, 10
WATCH, BACKLOG = 0.2, 512


def run(app: App, log: Callable[[str], None], stop: threading.Event, telegram: Any = None) -> int:
    """Serve until `stop` is set or SIGTERM or SIGINT comes. Raises StateTrouble without the extra, or a taken port."""
    try:
        from vpnctl.web import site
    except ImportError as error:
        raise StateTrouble(f"the web process needs {error.name}", adding(EXTRA)) from None
    sites = [(site.site(app, log, telegram, stop), app.settings.web_listen)]
    if app.settings.metrics_listen:
        sites.append((site.figures(app, log), app.settings.metrics_listen))
    servers = [_server(asgi, *listen) for asgi, listen in sites]
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    with contextlib.ExitStack() as open_:
        sockets = [open_.enter_context(_bound(*listen)) for _, listen in sites]
        for _, listen in sites:
            log(f"listening on {listen}")
        asyncio.run(_serve(servers, sockets, stop))
    return 0


def _server(asgi: Any, host: str, port: int) -> Any:
    import uvicorn

    from vpnctl.web.head_timeout import HeadTimeoutProtocol

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # they are heeded in `run`, once for all servers

    config = uvicorn.Config(
        asgi,
        host=host,
        port=port,
        http=HeadTimeoutProtocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=HEAD_BYTES,
        limit_concurrency=max(64, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2),
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=LAST_SECONDS,
    )
    return Server(config)


@contextlib.contextmanager
def _bound(host: str, port: int) -> Iterator[Any]:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((host, port))  # asyncio sets TCP_NODELAY only where the protocol is named
        except OSError as error:
            raise StateTrouble(
                f"cannot listen on {Listen(host, port)}: {error.strerror}", "set web_listen, or metrics_listen"
            ) from None
        made.listen(BACKLOG)
        yield made


async def _serve(servers: list[Any], sockets: list[Any], stop: threading.Event) -> None:
    async def watch() -> None:
        while not stop.is_set():
            await asyncio.sleep(WATCH)
        for server in servers:
            server.should_exit = True

    both = zip(servers, sockets, strict=True)
    await asyncio.gather(watch(), *(server.serve(sockets=[bound]) for server, bound in both))
