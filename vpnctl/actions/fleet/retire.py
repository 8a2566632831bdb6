"""Taking a node out of service: what we installed is removed, then how to log in is forgotten."""

from __future__ import annotations

import sqlalchemy as sa

from vpnctl.actions.fleet import endpoints, nodes
from vpnctl.actions.fleet.driving import login as login_of
from vpnctl.actions.fleet.settle import Wish, settle
from vpnctl.actions.outcome import Settled, stamp
from vpnctl.app import App
from vpnctl.errors import Conflict, VpnctlError
from vpnctl.protocols import fetched
from vpnctl.protocols.host import FIREWALL_UNIT, FOLDERS, SYSCTL, TOKEN
from vpnctl.remote import enroll
from vpnctl.remote.panel.door import LEFT
from vpnctl.rules.changes import SYSTEM
from vpnctl.store import events, find, models
from vpnctl.store.rows import HTTPS, Node


def retire(app: App, name: str, *, revoke: bool = False, destroyed: bool = False) -> tuple[Node, Settled]:
    """Take a node out of service: remove what we installed on it, then forget how to log in.

    With `destroyed` the machine is gone: nothing is contacted, and its peers count as absent on the operator's word.
    """
    with app.store.write() as tx:
        row = find.node(tx, name)
        behind = tx.one(Node, models.node.c.jump_id == row.id, models.node.c.retired_at.is_(None))
        if behind is not None:
            raise Conflict(f"node {behind.name} is reached through {row.name}", f"retire {behind.name} first")
        rows = find.endpoints(tx, row)
        others = [each for endpoint in rows for each in endpoints.dissolve(tx, app, row, endpoint, revoke=revoke)]
    settle(app, others)  # who was on the way here stays where they were; a node that does not answer stays pending
    outcome = Settled(row.id, row.name, 0)
    if not destroyed:
        outcome = settle(app, [row.id], Wish(scope=SYSTEM, always=True))[0]
        outcome = _clear(app, row) if outcome.code == 0 else outcome
    if outcome.code == 0:
        _forget(app, row, destroyed=destroyed)
    return row, outcome


def _clear(app: App, row: Node) -> Settled:
    """Remove what every node has of ours, our key last. What another node on the same server needs stays."""
    if row.kind == HTTPS:
        return Settled(row.id, row.name, 0)
    with app.store.read() as tx:
        login = login_of(tx, row)
        table = models.node.c
        way = table.jump_id.is_(None) if row.jump_id is None else table.jump_id == row.jump_id
        same = (table.kind == row.kind, table.host == row.host, table.port == row.port, way)
        beside = tx.one(Node, *same, table.id != row.id, table.retired_at.is_(None))
    try:
        shell = app.connect(login)
        try:
            if beside is not None and row.panel_url is not None:  # all else belongs to the other one
                shell.run(("rm", "-f", *LEFT), seconds=20)
                return Settled(row.id, row.name, 0)
            left = () if beside is not None else LEFT
            shell.run(("rm", "-f", SYSCTL, FIREWALL_UNIT, TOKEN, *left), seconds=20)
            for program, note in fetched():  # what was there before us is not noted, and stays
                if shell.run(("cat", note), seconds=20).status == 0:
                    shell.run(("rm", "-f", program, note), seconds=20)
            shell.run(("rmdir", "--ignore-fail-on-non-empty", *FOLDERS), seconds=20)
            shell.run(("rmdir", "--ignore-fail-on-non-empty", "/etc/vpnctl", "/var/lib/vpnctl"), seconds=20)
            shell.run(("systemctl", "daemon-reload"), seconds=30)
            if login.kind == "ssh" and beside is None:
                enroll.remove_key(shell, login, nodes.public_line(app))
        finally:
            shell.close()
    except VpnctlError as error:
        return Settled(row.id, row.name, 3, error=error.what, hint=error.hint)
    return Settled(row.id, row.name, 0)


def _forget(app: App, row: Node, *, destroyed: bool) -> None:
    now = app.clock()
    of_node = sa.select(models.endpoint.c.id).where(models.endpoint.c.node_id == row.id)
    forgotten = {"retired_at": now, "last_error": None, "last_error_code": None, "panel_secret_sealed": None}
    with app.store.write() as tx:
        tx.update(Node, models.node.c.id == row.id, **forgotten)
        if destroyed:
            gone = sa.update(models.peer).where(
                models.peer.c.endpoint_id.in_(of_node), models.peer.c.absent_at.is_(None)
            )
            tx.execute(gone.values(absent_at=now, present_at=None))
        after = {"destroyed": destroyed}
        events.record(tx, stamp(app), "node.retire", ("node", row.id, row.name), None, after)
