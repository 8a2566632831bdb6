"""Work on many nodes at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from typing import TypeVar

from vpnctl.app import App
from vpnctl.protocols import PLUGINS
from vpnctl.remote.driver import DRIVERS

Item = TypeVar("Item")
Result = TypeVar("Result")

OTHERS = (
    *("vpnctl.rules.translation", "cryptography.hazmat.primitives.ciphers.aead"),
    *("encodings.ascii", "encodings.idna", "stringprep", "importlib.readers"),
)
WAYS = ("vpnctl.remote.ssh", "paramiko")
"""What the way to a node, its panel and its errors import where they need it; a test on real servers says what."""


def load_everything(*more: str, nodes: bool = True) -> None:
    """Import what work on a node may need, and `more`, while there is one thread only.

    A process that reaches no `nodes` is spared what that takes: 10 MiB.

    Where one thread imports a package, and another one a module inside it that the package itself imports, Python
    sees a circle of import locks and raises in one of them: then one node fails for nothing, now and then.
    """
    drivers = [module for module, _name in DRIVERS.values()] if nodes else []
    for module in (*PLUGINS.values(), *drivers):
        import_module(module)
    for module in (*OTHERS, *(WAYS if nodes else ()), *more):
        with suppress(ImportError):  # whoever needs it says what is wrong: a machine that serves alone needs no SSH
            import_module(module)


def side_by_side(app: App, work: Callable[[Item], Result], nodes: Sequence[Item]) -> list[Result]:
    """Do `work` for each of these nodes, so many at once as the settings say, under a progress bar.

    Returns what `work` returned, in the order of `nodes`. What it raises is raised here once all are done.
    """
    if not nodes:
        return []
    with app.progress("nodes", len(nodes)) as advance:

        def one(node: Item) -> Result:
            try:
                return work(node)
            finally:
                advance()

        if len(nodes) == 1:
            return [one(nodes[0])]
        load_everything()
        with ThreadPoolExecutor(min(app.settings.parallel, len(nodes))) as pool:
            return list(pool.map(one, nodes))
