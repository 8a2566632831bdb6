"""What the operator types. One file per noun; the only importer of typer and rich."""

from __future__ import annotations


def run() -> None:
    """Entry point of the `vpnctl` program."""
    from vpnctl.cli.main import main

    raise SystemExit(main())
