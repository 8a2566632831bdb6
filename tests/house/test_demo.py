"""The demo where no server can be booted: the same commands, labelled as a simulation."""

from __future__ import annotations

import subprocess
import sys

SIMULATED = "from tests.lab import host; host.why_not = lambda: 'it needs root'; from tests import demo; raise SystemExit(demo.main())"


def test_the_demo_says_why_it_simulates_and_runs_the_whole_job():
    done = subprocess.run([sys.executable, "-c", SIMULATED], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert done.stdout.startswith("SIMULATION: this machine cannot boot servers: it needs root.")
    assert "SIMULATION, no packets" in done.stdout
    for verb in ("node provision", "peer suspend", "user migrate", "peer regen", "peer revoke"):
        assert f"$ vpnctl {verb}" in done.stdout
