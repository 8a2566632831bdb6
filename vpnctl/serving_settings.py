"""Settings of the processes that serve others: the web process and workers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vpnctl.payment_settings import setting


class Listen(NamedTuple):
    """Where a process answers. Written as `ADDRESS:PORT`; an IPv6 address stands in brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class ServingSettings:
    """A part of `Settings`."""

    web_listen: Listen = setting("where `web run` answers, as `ADDRESS:PORT`", Listen("127.0.0.1", 8090))
    web_url: str = setting(
        "the address under which the web process is reached from outside, `https://NAME`: of people's links, "
        "webhooks and the bot; requests for other hosts are refused; empty: none is handed out",
        "",
    )
    metrics_listen: Listen | None = setting(
        "where `web run` serves `/metrics` without a key, as `ADDRESS:PORT`; empty: at web_listen, with a key",
        None,
    )
    nats_url: str = setting(
        "NATS with JetStream, as `nats://HOST:PORT` or `tls://…`; several with commas; empty: none", ""
    )
    nats_credentials: Path | None = setting("file with what lets us in there (`.creds`), mode 0600; empty: none", None)
    nats_replicas: int = setting("on how many servers of its cluster each message is kept, 1 to 5", 1)
    nats_event_mib: int = setting("how many MiB of events are kept there, 16 to 1000000", 1024)
    telegram_updates: str = setting(
        "`poll`: the bot fetches updates; `webhook`: Telegram sends them to the web process", "poll"
    )
