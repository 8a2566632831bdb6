"""Copies of the database, and what an upgrade removes from it."""

from __future__ import annotations

import sqlite3

import pytest
import sqlalchemy as sa

from tests.conftest import START
from vpnctl.errors import StateTrouble
from vpnctl.store import models


def test_a_copy_taken_while_the_database_is_in_use_is_whole_and_private(service, app, tmp_path):
    service("user", "add", "alice")
    with app.store.write() as tx:
        tx.set_meta("busy", "1")
        assert service("db", "copy", str(tmp_path / "copy.db")).code == 0
    assert (tmp_path / "copy.db").stat().st_mode & 0o077 == 0
    rows = sqlite3.connect(tmp_path / "copy.db").execute('SELECT name FROM "user"').fetchall()
    assert rows == [("alice",)]
    assert service("db", "copy", str(tmp_path / "copy.db")).code == 2, "nothing is overwritten"


def test_an_empty_schema_version_is_no_bug(settings, app):
    app.store.close()
    with sqlite3.connect(settings.sqlite_path) as raw:
        raw.execute("DELETE FROM alembic_version")
    from vpnctl.store.upgrade import upgrade

    with pytest.raises(StateTrouble, match="which schema"):
        upgrade(settings.database_url)


def test_what_older_versions_noted_of_keys_is_purged_whole_or_cut(app):
    import importlib

    purge = importlib.import_module("vpnctl.store.migrations.versions.0004_field")
    psk, name = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=", "averyveryveryverylongusername1"
    with app.store.write() as tx:
        row = {"at": START, "recorded_at": START, "actor": "x", "verb": "node.unsettled", "subject_kind": "node", "subject_id": "x", "subject": "x", "run_id": "x"}  # fmt: skip
        told = [f"fi: the answer makes no sense; it said: {psk}\t(none)", f"fi: failed: {psk[:43]}", f"fi: {psk}", name]
        tx.execute(sa.insert(models.event), [{**row, "after": {"error": text}} for text in told])
        for table in ("peer", "alien", "endpoint"):  # as it was called in that schema
            tx.execute(sa.text(f"ALTER TABLE {table} RENAME COLUMN identity TO public_key"))
        purge._purge(tx.connection)
        kept = tx.execute(sa.select(models.event.c.after).where(models.event.c.run_id == "x")).scalars().all()
    assert not any(psk[:20] in str(each) for each in kept)
    assert kept[3] == {"error": name}
