"""What the shell is offered when somebody presses tab. Whatever is wrong, it is offered nothing."""

from __future__ import annotations

from typing import Any

from vpnctl.settings import load


def complete_nodes(incomplete: str) -> list[str]:
    """Return the node names that begin with what was typed, for the shell."""
    return _complete("node", "retired_at", incomplete)


def complete_users(incomplete: str) -> list[str]:
    """Return the user names that begin with what was typed, for the shell."""
    return _complete("user", "removed_at", incomplete)


def complete_plans(incomplete: str) -> list[str]:
    """Return the plan names that begin with what was typed, for the shell."""
    return _complete("plan", "", incomplete)


def complete_peers(incomplete: str) -> list[str]:
    """Return `USER/DEVICE` of living devices that begin with what was typed, for the shell."""
    import sqlalchemy as sa

    from vpnctl.store import models

    user, peer = models.user.c, models.peer.c
    text = user.name + "/" + peer.device
    query = sa.select(text).join(models.peer, peer.user_id == user.id).where(peer.revoked_at.is_(None))
    return _offered(query.where(text.startswith(incomplete, autoescape=True)).distinct().order_by(text))


def complete_interfaces(incomplete: str) -> list[str]:
    """Return the interfaces of endpoints that begin with what was typed, for the shell."""
    import sqlalchemy as sa

    from vpnctl.store import models

    name = models.endpoint.c.name
    alive = models.endpoint.c.removed_at.is_(None)
    return _offered(
        sa.select(name).where(alive, name.startswith(incomplete, autoescape=True)).distinct().order_by(name)
    )


def complete_jobs(incomplete: str) -> list[str]:
    """Return the jobs that begin with what was typed, for the shell."""
    from vpnctl.jobs import NAMES

    return [name for name in NAMES if name.startswith(incomplete)]


def complete_states(incomplete: str) -> list[str]:
    """Return the states of subscriptions that begin with what was typed, for the shell."""
    from vpnctl.rules.lifecycle import State

    return [str(state) for state in State if state.startswith(incomplete)]


def complete_protocols(incomplete: str) -> list[str]:
    """Return the protocols that begin with what was typed, for the shell."""
    from vpnctl.actions.fleet.endpoints import protocols

    return [name for name in protocols() if name.startswith(incomplete)]


def _complete(table: str, dead: str, incomplete: str) -> list[str]:
    import sqlalchemy as sa

    from vpnctl.store import models

    column = models.metadata.tables[table].c
    query = sa.select(column.name).where(column.name.startswith(incomplete, autoescape=True))
    return _offered((query.where(column[dead].is_(None)) if dead else query).order_by(column.name))


def _offered(query: Any) -> list[str]:
    from vpnctl.errors import VpnctlError
    from vpnctl.store.engine import Store

    try:
        with Store(load().database_url).read() as tx:
            return list(tx.execute(query.limit(50)).scalars())
    except VpnctlError:
        return []
