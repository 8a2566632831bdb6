"""What the shell is offered when somebody presses tab. Whatever is wrong, it is offered nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vpnctl.settings import load

if TYPE_CHECKING:
    from vpnctl.store.engine import Tx


def complete_nodes(incomplete: str) -> list[str]:
    """Return the node names that begin with what was typed, for the shell."""
    return _named("node", incomplete)


def complete_users(incomplete: str) -> list[str]:
    """Return the user names that begin with what was typed, for the shell."""
    return _named("user", incomplete)


def complete_plans(incomplete: str) -> list[str]:
    """Return the plan names that begin with what was typed, for the shell."""
    return _named("plan", incomplete)


def complete_keys(incomplete: str) -> list[str]:
    """Return the names of valid keys to the API that begin with what was typed, for the shell."""
    return _named("api_key", incomplete)


def complete_backups(incomplete: str) -> list[str]:
    """Return the backups in the folder whose names begin with what was typed, for the shell."""
    from vpnctl.actions.service import backups
    from vpnctl.errors import VpnctlError
    from vpnctl.settings import load

    try:
        return sorted(path.name for path in backups.folder(load()).glob(f"{incomplete}*{backups.SUFFIX}"))
    except (VpnctlError, OSError, ValueError):
        return []


def complete_interfaces(incomplete: str) -> list[str]:
    """Return the interfaces of endpoints that begin with what was typed, for the shell."""
    return _named("endpoint", incomplete)


def complete_peers(incomplete: str) -> list[str]:
    """Return `USER/DEVICE` of living devices that begin with what was typed, for the shell."""
    from vpnctl.store import names

    return _offered(lambda tx: names.devices(tx, incomplete))


def complete_devices(incomplete: str) -> list[str]:
    """Return names of living devices, without their people, that begin with what was typed, for the shell."""
    from vpnctl.store import names

    return _offered(lambda tx: names.device_names(tx, incomplete))


def complete_notices(incomplete: str) -> list[str]:
    """Return the states of messages that begin with what was typed, for the shell."""
    return [state for state in ("waiting", "sent", "failed") if state.startswith(incomplete)]


def complete_jobs(incomplete: str) -> list[str]:
    """Return the jobs that begin with what was typed, for the shell."""
    from vpnctl.jobs import NAMES

    return [name for name in NAMES if name.startswith(incomplete)]


def complete_states(incomplete: str) -> list[str]:
    """Return the states of subscriptions that begin with what was typed, for the shell."""
    from vpnctl.rules.lifecycle import State

    return [str(state) for state in State if state.startswith(incomplete)]


def complete_order_states(incomplete: str) -> list[str]:
    """Return the states of orders that begin with what was typed, for the shell."""
    from vpnctl.rules.orders import OrderState

    return [str(state) for state in OrderState if state.startswith(incomplete)]


def complete_payment_states(incomplete: str) -> list[str]:
    """Return the states of payments that begin with what was typed, for the shell."""
    from vpnctl.rules.orders import PaymentState

    return [str(state) for state in PaymentState if state.startswith(incomplete)]


def complete_providers(incomplete: str) -> list[str]:
    """Return who takes payments that begins with what was typed, for the shell."""
    from vpnctl.actions.sales.methods import NAMES

    return [name for name in NAMES if name.startswith(incomplete)]


def complete_protocols(incomplete: str) -> list[str]:
    """Return the protocols that begin with what was typed, for the shell."""
    from vpnctl.actions.fleet.endpoints import protocols

    return [name for name in protocols() if name.startswith(incomplete)]


def _named(table: str, incomplete: str) -> list[str]:
    from vpnctl.store import names

    return _offered(lambda tx: names.named(tx, table, incomplete))


def _offered(read: Callable[[Tx], list[str]]) -> list[str]:
    from vpnctl.errors import VpnctlError
    from vpnctl.store.engine import Store

    try:
        with Store(load().database_url).read() as tx:
            return read(tx)
    except VpnctlError:
        return []
