"""The API against its own description: a running process, fuzzed; and a description that says what it must."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.website import free
from vpnctl.actions.people import users
from vpnctl.actions.service import apikeys, inventory
from vpnctl.actions.service.inventory_form import parse
from vpnctl.rules.scopes import Scope

PLANS = "plans: [{name: month, days: 30, prices: {EUR: 500}}, {name: trial, days: 3, trial: true}]"

BEYOND = ("GET /api/v1/peers", "POST /api/v1/users", "PATCH /api/v1/users/{name}", "PATCH /api/v1/nodes/{name}",
          "POST /api/v1/users/{name}/peers", "POST /api/v1/peers/{peer_id}/regen",
          "POST /api/v1/orders/{number}/reject", "POST /api/v1/orders/{number}/cancel")  # fmt: skip
"""Where a schema cannot say all that is asked for: cursors, public keys, texts without control characters."""
CONFIG = '[parameters]\n"query.wait" = 0\n' + "".join(  # a run that is pending would be waited for
    f'[[operations]]\ninclude-name = "{name}"\n[operations.checks.positive_data_acceptance]\n'
    'expected-statuses = ["2xx", 401, 403, 404, 409, 422, 429]\n'
    for name in BEYOND
)


@pytest.fixture
def process(app, serve, settings):
    """`vpnctl web run` over a filled database; yields (its address, a key)."""
    serve("fi", provision=False)
    users.add(app, ["anna", "bob"])
    inventory.apply(app, *parse(PLANS, "plans"))
    key = apikeys.add(app, "fuzz", tuple(Scope), None).key.reveal()
    listen = free()
    env = {**os.environ, "VPNCTL_STATE_DIR": str(settings.state_dir), "VPNCTL_KEY_FILE": str(settings.key_file)}
    env |= {"VPNCTL_DATABASE_URL": settings.database_url, "VPNCTL_WEB_LISTEN": str(listen)}
    env |= {"VPNCTL_WEB_URL": "https://vpn.example.org"}
    running = subprocess.Popen(
        [sys.executable, "-m", "vpnctl", "web", "run"], env=env, stderr=subprocess.PIPE, text=True
    )
    assert "listening" in running.stderr.readline()
    yield f"http://{listen}", key
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 0
    assert "Traceback" not in said
    assert "bug" not in said


def test_fuzzed_it_keeps_to_its_own_description(process, tmp_path):
    url, key = process
    program = Path(sys.executable).with_name("schemathesis")
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    command = [program, "--config-file", str(tmp_path / "schemathesis.toml"), "run", f"{url}/api/v1/openapi.json"]
    command += ["-H", f"Authorization: Bearer {key}", "--max-examples", "5", "--workers", "1", "--seed", "7"]
    command += ["--checks", "all", "--request-timeout", "30", "--no-color"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]


def test_every_route_of_the_api_is_described_with_its_refusals(process):
    url, key = process
    assert httpx.get(f"{url}/api/v1/openapi.json").status_code == 401, "strangers need not know what is here"
    described = httpx.get(f"{url}/api/v1/openapi.json", headers={"Authorization": f"Bearer {key}"}).json()
    assert described["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    for path, methods in described["paths"].items():
        assert path.startswith("/api/v1/")
        for method, route in methods.items():
            assert route["summary"] and route["description"], (path, method)
            assert {"401", "403", "422"} <= route["responses"].keys(), (path, method)
            if method != "get":
                names = {each["name"] for each in route["parameters"]}
                assert {"wait", "Idempotency-Key"} <= names, (path, method)
