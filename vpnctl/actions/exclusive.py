"""Work that one process does at a time: on this machine, and on all that share a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vpnctl import filelock
from vpnctl.app import App
from vpnctl.errors import Busy


@contextmanager
def exclusive(app: App, name: str, taken: Busy) -> Iterator[None]:
    """Be the only one that does `name`, or raise a Busy like `taken` that says where it is done.

    A killed one's right ends with its process and its session.
    """
    with filelock.hold(app.settings.state_dir / "locks" / name) as free:
        if not free:
            raise Busy(f"{taken.what}, on this machine", taken.hint)
        with app.store.exclusive(name) as first:
            if not first:
                raise Busy(f"{taken.what}, on another machine", taken.hint)
            yield
