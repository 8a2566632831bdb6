"""Jobs by workers, where no timers run them: rounds over all nodes in parts, all others by one worker at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from vpnctl import errors, jobs
from vpnctl.app import App
from vpnctl.errors import Busy, VpnctlError
from vpnctl.worker import parts

TICK = 1.0
AT_ONCE = len(jobs.NAMES)


class Rounds:
    """Runs what is due. `holder` is the worker's id, under which it holds leases."""

    def __init__(self, app: App, holder: str, log: Callable[[str], None]) -> None:
        self._app, self._holder, self._log = app, holder, log
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="job")
        self._lock = threading.Lock()
        self._running: set[str] = set()
        self._over: dict[str, int] = {}
        """Split job -> the round of which nothing was left to take."""

    def work(self, stop: threading.Event) -> None:
        """Run jobs until told to stop; what began is finished."""
        while not stop.is_set():
            try:
                for name in self._due():
                    self._begin(name, stop)
            except Exception as error:  # noqa: BLE001 - a thread that dies is not seen
                self._log(errors.told(error))
            stop.wait(TICK)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _due(self) -> list[str]:
        split = [name for name in jobs.NAMES if jobs.splits(name)]
        late = [name for name in jobs.due(self._app) if name not in split]
        return [name for name in split if self._over.get(name) != self._round(name)] + late

    def _round(self, name: str) -> int:
        return parts.number(self._app, jobs.module(name).TIMER)

    def _begin(self, name: str, stop: threading.Event) -> None:
        with self._lock:
            if name in self._running:
                return
            self._running.add(name)
        self._pool.submit(self._run, name, stop)

    def _run(self, name: str, stop: threading.Event) -> None:
        app = replace(self._app, actor=f"job:{name}")
        try:
            if jobs.splits(name):
                self._share(app, name, stop)
            else:
                self._tell(jobs.run(app, name))
        except Busy:
            pass  # another worker is at it
        except VpnctlError as error:
            self._log(f"job {name}: {error.what}")
        except Exception as error:  # noqa: BLE001 - a thread of a pool dies unseen
            self._log(f"job {name}: {errors.told(error)}")
        finally:
            with self._lock:
                self._running.discard(name)

    def _share(self, app: App, name: str, stop: threading.Event) -> None:
        """Do parts of the round that runs now until none is left."""
        timer, round_ = jobs.module(name).TIMER, self._round(name)
        while not stop.is_set():
            part = parts.claim(app, name, timer, self._holder)
            if part is None:
                self._over[name] = round_
                return
            self._tell(jobs.run_part(app, name, part.nodes))
            parts.done(app, part, timer, self._holder)

    def _tell(self, report: jobs.Report) -> None:
        if report.code:
            self._log(f"job {report.job}: {report.what}")
