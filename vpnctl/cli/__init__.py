"""What the operator types. One file per noun; the only importer of typer and rich."""

from __future__ import annotations


def run() -> None:
    """Entry point of the `vpnctl` program."""
    import gc
    import signal

    # While modules are imported, and after the work is done, Ctrl-C simply ends the process: there is nothing to tell.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # A short command lives on imports; collecting during them costs a tenth of its time.
    gc.set_threshold(100_000, 20, 100)
    from vpnctl.cli.main import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = main()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise SystemExit(code)
