"""Several verbs in one transaction."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vpnctl.actions.people import users
from vpnctl.errors import Conflict
from vpnctl.store import models
from vpnctl.store.rows import User
from vpnctl.store.talk_rows import Received


def test_a_failed_part_of_a_joint_transaction_is_undone_and_the_rest_stays(app):
    with app.store.joint() as store:
        joint = replace(app, store=store)
        users.add(joint, ["alice"])
        with pytest.raises(Conflict):
            users.add(joint, ["bob", "alice"])
    with app.store.read() as tx:
        assert [row.name for row in tx.all(User)] == ["alice"]
        assert len(tx.execute(models.event.select().where(models.event.c.verb == "user.add")).all()) == 1
    with pytest.raises(RuntimeError), app.store.joint() as store:
        users.add(replace(app, store=store), ["carol"])
        raise RuntimeError
    with app.store.read() as tx:
        assert [row.name for row in tx.all(User)] == ["alice"]
        assert tx.all(Received) == []
