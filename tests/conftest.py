"""Fixtures: a real SQLite state in a temporary folder, in-memory nodes, the command line in this process."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.fakenode import FakeNode, Fleet
from tests.support.postgres import NotHere, server
from vpnctl import settings as settings_module
from vpnctl.actions.fleet.endpoints import add as add_endpoint
from vpnctl.actions.fleet.nodes import save
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.service import state
from vpnctl.app import App, open_app
from vpnctl.remote.shell import Login
from vpnctl.rules.changes import SYSTEM
from vpnctl.settings import Settings

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJbeUjQt/bDeAK6smLQiZsG7ODkwca1KgBwY8xy0jyuj"
START = datetime(2027, 1, 15, 12, tzinfo=UTC)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give every module to one process, those that share a laboratory to the same one, and these first of all."""
    from xdist.scheduler import LoadScopeScheduling

    class ByRoom(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.split("::", maxsplit=1)[0]
            if not module.startswith("tests/lab/"):
                return module
            return f"tests/lab {next((n for n, stems in enumerate(LABS) if Path(module).stem in stems), len(LABS))}"

        def _assign_work_unit(self, node: Any) -> None:
            for scope in [each for each in self.workqueue if each.startswith("tests/lab ")]:
                self.workqueue.move_to_end(scope, last=False)
            super()._assign_work_unit(node)

    return ByRoom(config, log)


LABS = (
    ("test_journey", "test_xray"),
    ("test_crash", "test_shop"),
    ("test_access", "test_bot", "test_contract", "test_debian13", "test_faults", "test_logins", "test_packets"),
)
"""Laboratories that run side by side, by their modules; all others are in one more. Most of their time is waiting."""


class Clock:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.now = self.true = START
        self.boot, self.up = "controller-boot", 1000.0

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **delta: float) -> None:
        """Time passes, for the wall clock and for the uptime."""
        self.now += timedelta(**delta)
        self.true += timedelta(**delta)
        self.up += timedelta(**delta).total_seconds()

    def jump(self, **delta: float) -> None:
        """Somebody sets the wall clock."""
        self.now += timedelta(**delta)

    def uptime(self) -> tuple[str, float]:
        return self.boot, self.up


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fleet(clock: Clock) -> Fleet:
    return Fleet(lambda: clock.true.timestamp())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return _settings(tmp_path)


@pytest.fixture(scope="session")
def fresh_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an initialised state, made once: making it takes longer than most tests."""
    home = tmp_path_factory.mktemp("fresh")
    state.init(_settings(home), "cli:test")
    return home


def _settings(home: Path) -> Settings:
    env = {
        "HOME": str(home),
        "VPNCTL_STATE_DIR": str(home / "state"),
        "VPNCTL_KEY_FILE": str(home / "keys/vault.key"),
    }
    return settings_module.load(None, env)


@pytest.fixture
def app(settings: Settings, clock: Clock, fleet: Fleet, fresh_state: Path) -> Iterator[App]:
    if settings.state_dir.exists():
        state.init(settings, "cli:test")
    else:
        shutil.copytree(fresh_state / "state", settings.state_dir)
        shutil.copytree(fresh_state / "keys", settings.key_file.parent)
    opened = open_app(settings, "cli:test")
    yield replace(opened, clock=clock, uptime=clock.uptime, connect=fleet.connect, shake=fleet.shake)
    opened.store.close()


@dataclass
class Served:
    """A provisioned in-memory node."""

    name: str
    id: str
    fake: FakeNode


@pytest.fixture
def serve(app: App, fleet: Fleet) -> Any:
    """Add and provision an in-memory node."""
    return serving(app, fleet)


def serving(app: App, fleet: Fleet) -> Any:
    """What adds and provisions an in-memory node."""

    def make(name: str = "fi", provision: bool = True, **endpoint: Any) -> Served:
        with app.store.write() as tx:
            node = save(tx, app, Login(name, "ssh", f"{name}.example.org", 22, "root", HOST_KEY), None, {})
        add_endpoint(app, name, "wireguard", endpoint)
        if provision:
            assert settle(app, [node.id], Wish(scope=SYSTEM, always=True))[0].code == 0
        return Served(name, node.id, fleet[node.host])

    return make


@dataclass
class Run:
    """What a command line left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def cli(settings: Settings, fleet: Fleet, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command line in this process, on in-memory nodes."""
    import vpnctl.app
    from vpnctl.cli.main import main
    from vpnctl.remote import enroll, ssh

    monkeypatch.setenv("VPNCTL_STATE_DIR", str(settings.state_dir))
    monkeypatch.setenv("VPNCTL_KEY_FILE", str(settings.key_file))
    monkeypatch.setenv("VPNCTL_DATABASE_URL", settings.database_url)  # whatever /etc/vpnctl says on this machine
    monkeypatch.setattr(vpnctl.app, "_connector", lambda *_args: fleet.connect)
    monkeypatch.setattr(ssh, "scan", lambda login, _key=None, kind="": fleet[login.host].host_key or HOST_KEY)
    monkeypatch.setattr(enroll, "install_key", lambda *_args: None)
    monkeypatch.setattr(
        "vpnctl.cli.front.open_app",
        lambda *args: replace(open_app(*args), clock=clock, uptime=clock.uptime, shake=fleet.shake),
    )

    def run(*args: str, stdin: str = "") -> Run:
        out, err = io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with redirect_stdout(out), redirect_stderr(err):
            code = main(list(args))
        return Run(code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def service(cli: Any, fleet: Fleet) -> Any:
    """An initialised service with one provisioned node `fi`."""
    assert cli("init", "--yes").code == 0
    assert cli("node", "add", "fi", "root@fi.example.org", "--host-key-fp", _fp(), "--provision").code == 0
    return cli


def _fp() -> str:
    from vpnctl.remote.ssh import fingerprint

    return fingerprint(HOST_KEY)


COMPLETE = os.environ.get("TEST_COMPLETE") == "1"


def cannot(what: str, why: str) -> None:
    """A part of the suite that cannot run here: said in one line; a failure where everything must run (CI)."""
    if COMPLETE:
        pytest.fail(f"{what}: {why}", pytrace=False)
    pytest.skip(f"{what}: {why}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server; yields a URL without database name."""
    try:
        with server() as base:
            yield base
    except NotHere as why:
        cannot("PostgreSQL tests", str(why))
