"""The tables of the bot: nothing that a conversation needs is kept in memory."""

from __future__ import annotations

import sqlalchemy as sa

from vpnctl.store.columns import Utc, key, metadata, ref

inbox = sa.Table(
    "inbox",
    metadata,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("update_id", sa.BigInteger, nullable=False),
    sa.Column("chat_id", sa.BigInteger, nullable=False),
    sa.Column("received_at", Utc, nullable=False),
    sa.Column("body", sa.JSON),
    sa.Column("handled_at", Utc),
    sa.Column("reply", sa.JSON),
    sa.Column("answered_at", Utc),
    sa.Column("not_before", Utc, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("error", sa.String(200)),
    sa.UniqueConstraint("update_id"),
    sa.Index("ix_inbox_answered_at", "answered_at", "seq"),
    sa.Index("ix_inbox_chat_id", "chat_id", "received_at"),
)

button = sa.Table(
    "button",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("screen", sa.String(36), nullable=False),
    sa.Column("owner", sa.BigInteger, nullable=False),
    sa.Column("action", sa.String(24), nullable=False),
    sa.Column("args", sa.JSON, nullable=False),
    sa.Column("expires_at", Utc, nullable=False),
    sa.Column("used_at", Utc),
    sa.Index("ix_button_screen", "screen"),
    sa.Index("ix_button_expires_at", "expires_at"),
)

invite = sa.Table(
    "invite",
    metadata,
    key(),
    sa.Column("code_hash", sa.String(64), nullable=False),
    ref("user_id", "user", nullable=True),
    sa.Column("made_by", sa.String(64), nullable=False),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("expires_at", Utc, nullable=False),
    sa.Column("used_at", Utc),
    sa.UniqueConstraint("code_hash"),
)

applicant = sa.Table(
    "applicant",
    metadata,
    sa.Column("telegram_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("locale", sa.String(8), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("bad_codes", sa.Integer, nullable=False),
    sa.Column("wait_until", Utc),
    sa.Column("seen_at", Utc, nullable=False),
)

request = sa.Table(
    "request",
    metadata,
    key(),
    ref("user_id", "user"),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
    sa.Column("created_at", Utc, nullable=False),
    sa.Column("decided_at", Utc),
    sa.Column("decided_by", sa.String(64)),
    sa.Column("granted", sa.Boolean),
    sa.Index("ix_request_decided_at", "decided_at"),
    sa.Index("ix_request_user_id", "user_id"),
)

draft = sa.Table(
    "draft",
    metadata,
    sa.Column("user_id", sa.String(36), sa.ForeignKey("user.id"), primary_key=True),
    sa.Column("plan", sa.String(32), nullable=False),
    sa.Column("changed_at", Utc, nullable=False),
)

prompt = sa.Table(
    "prompt",
    metadata,
    sa.Column("telegram_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("action", sa.String(24), nullable=False),
    sa.Column("args", sa.JSON, nullable=False),
    sa.Column("expires_at", Utc, nullable=False),
)
