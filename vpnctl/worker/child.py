"""A worker in a process of its own: SSH and pictures compute, and presses in the bot must not wait for them.

The bot writes to the process's stdin: `node ID` to have a node settled, `send` to have the outbox looked at. What the
process prints goes to the bot's log. When its stdin ends, because the bot stops or was killed, it finishes and ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from vpnctl.app import App
from vpnctl.errors import bug
from vpnctl.worker.worker import Worker

NODE, SEND = "node ", "send"
POLITE, WATCH = 10, 5.0
"""How much it gives way to the answering of presses (nice), and seconds between looks at its threads."""


class ChildWorker:
    """The bot's end of it; see `Worker`. `command` starts `serve`."""

    def __init__(self, command: Sequence[str], log: Callable[[str], None]) -> None:
        self._command, self._log = command, log
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._reader = threading.Thread(target=self._read, name="child", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reader.start()

    def ask(self, node_ids: Collection[str]) -> None:
        """Have nodes settled and the outbox sent. What a dead process does not hear, the next one finds."""
        with self._lock, suppress(OSError, ValueError):
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.write("".join(f"{NODE}{node_id}\n" for node_id in node_ids) + f"{SEND}\n")
                self._process.stdin.flush()

    def is_alive(self) -> bool:
        """Say whether it still works."""
        return self._reader.is_alive()

    def close(self) -> None:
        """Wait until what it began is finished."""
        if self._process is None:
            return
        with self._lock, suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._reader.join()
        self._process.wait()

    def _read(self) -> None:
        if self._process is None or self._process.stdout is None:
            return
        for line in self._process.stdout:
            self._log(line.rstrip("\n"))
        if self._process.wait():
            self._log(f"the process that settles and sends ended with {self._process.returncode}")


def serve(app: App) -> int:
    """The process itself: work until stdin ends. Signals are for the bot to heed."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    lock = threading.Lock()

    def log(text: str) -> None:
        with lock, suppress(OSError, ValueError):
            sys.stdout.write(" ".join(text.split()) + "\n")
            sys.stdout.flush()

    os.nice(POLITE)
    worker = Worker(app, log)
    try:
        worker.start()
        threading.Thread(target=_watch, args=(worker, log), name="watch", daemon=True).start()
        for line in sys.stdin:
            word = line.rstrip("\n")
            worker.ask([word.removeprefix(NODE)] if word.startswith(NODE) else ())
    except Exception as error:  # noqa: BLE001 - its threads would go on, and nobody would read what the bot says
        log(bug(error))
        os._exit(1)
    worker.close()
    return 0


def _watch(worker: Worker, log: Callable[[str], None]) -> None:
    """End the process, and with it the bot, when a part of it died; systemd starts both again."""
    while worker.is_alive():
        time.sleep(WATCH)
    log("a thread that settles or sends died")
    os._exit(1)
