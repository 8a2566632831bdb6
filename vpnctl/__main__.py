"""`python -m vpnctl`."""

from vpnctl.cli import run

run()
