"""What the field broke: whether packets pass a node, what a payment was; and no secret in what was noted before."""

from __future__ import annotations

import json
import re
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

UTC = sa.DateTime(timezone=True)

NOTED = (
    ("event", "seq", ("before", "after")),
    ("job_run", "id", ("detail",)),
    ("node_health", "node_id", ("sample",)),
    ("notice", "id", ("details",)),
)
"""JSON columns into which the end of a node's answer may have been written by 0.1 (table, key, columns)."""
TEXTS = (("node", "id", "last_error"), ("notice", "id", "error"))
KEY = re.compile(r"(?<!SHA256:)\b(?=[A-Za-z0-9+/]*[a-z])(?=[A-Za-z0-9+/]*[A-Z])[A-Za-z0-9+/]{20,}={0,2}")
"""Whole keys and what cutting left of them: names and paths of ours have no capitals."""
TOLD = re.compile(r"(it said: ).*", re.DOTALL)
GONE = "(removed by the upgrade)"


def upgrade() -> None:
    """See the module."""
    op.add_column("node", sa.Column("path_error", sa.Text))
    op.add_column("node", sa.Column("path_at", UTC))
    op.add_column("node", sa.Column("fence_at", UTC))
    op.add_column("endpoint", sa.Column("clients_changed_at", UTC))
    op.add_column("subscription", sa.Column("paid_amount", sa.BigInteger))
    op.add_column("subscription", sa.Column("paid_currency", sa.String(3)))
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON")
    _purge(connection)


def _clean(value: Any, public: set[str]) -> Any:
    """Return a noted value without keys that are not public."""
    if isinstance(value, str):
        text = TOLD.sub(rf"\1{GONE}", value)
        return KEY.sub(lambda hit: hit[0] if hit[0] in public else "***", text)
    if isinstance(value, dict):
        return {key: _clean(item, public) for key, item in value.items()}
    return [_clean(item, public) for item in value] if isinstance(value, list) else value


def _purge(connection: sa.Connection) -> None:
    """Take keys out of what was noted. Public ones are known as such and stay."""
    public: set[str] = set()
    for name in ("peer", "alien", "endpoint"):
        public |= set(connection.execute(sa.select(sa.column("public_key")).select_from(sa.table(name))).scalars())

    for name, key, columns in NOTED:
        table = sa.table(name, sa.column(key), *(sa.column(each, sa.JSON) for each in columns))
        for row in connection.execute(sa.select(table)).mappings().all():
            new = {each: _clean(row[each], public) for each in columns if row[each] is not None}
            changed = {each: value for each, value in new.items() if json.dumps(value) != json.dumps(row[each])}
            if changed:
                connection.execute(sa.update(table).where(table.c[key] == row[key]).values(changed))
    for name, key, column in TEXTS:
        table = sa.table(name, sa.column(key), sa.column(column))
        for row_key, text in connection.execute(sa.select(table).where(table.c[column].is_not(None))).all():
            new_text = _clean(text, public)
            if new_text != text:
                connection.execute(sa.update(table).where(table.c[key] == row_key).values({column: new_text}))
