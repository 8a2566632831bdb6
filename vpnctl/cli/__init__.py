"""What the operator types. One file per noun; the only importer of typer and rich."""

from __future__ import annotations


def run() -> None:
    """Entry point of the `vpnctl` program."""
    import gc

    # A short command lives on imports; collecting during them costs a tenth of its time.
    gc.set_threshold(100_000, 20, 100)
    from vpnctl.cli.main import main

    raise SystemExit(main())
