"""What several modules do with a bare server of the laboratory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


def way_in(node, *more):
    return ("node", "add", "x", f"root@{node.address}", "--host-key-fp", node.fingerprint(), "--identity", str(node.key), *more)  # fmt: skip


def add(operator, node, *more, code=0):
    return operator(*way_in(node, "--provision", *more), code=code)


@contextlib.contextmanager
def written(node, path: str, text: str, mode: int = 0o644) -> Iterator[Path]:
    """A file on the node while a test needs it; what was there comes back."""
    target = node.root / path
    before = target.read_text() if target.exists() else None
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.chmod(mode)
    try:
        yield target
    finally:
        target.unlink() if before is None else target.write_text(before)
