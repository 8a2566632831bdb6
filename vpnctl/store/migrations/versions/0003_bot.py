"""What the Telegram bot remembers: updates, buttons, invitations, applicants, requests, drafts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

UTC = sa.DateTime(timezone=True)


def upgrade() -> None:
    """See the module."""
    _updates()
    _people()
    op.create_index("ix_event_actor", "event", ["actor", "at"])
    op.create_index("ix_notice_user_id", "notice", ["user_id", "created_at"])


def _updates() -> None:
    op.create_table(
        "inbox",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("update_id", sa.BigInteger, nullable=False),
        sa.Column("chat_id", sa.BigInteger, nullable=False),
        sa.Column("received_at", UTC, nullable=False),
        sa.Column("body", sa.JSON),
        sa.Column("handled_at", UTC),
        sa.Column("reply", sa.JSON),
        sa.Column("answered_at", UTC),
        sa.Column("not_before", UTC, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("error", sa.String(200)),
        sa.PrimaryKeyConstraint("seq", name="pk_inbox"),
        sa.UniqueConstraint("update_id", name="uq_inbox_update_id"),
    )
    op.create_index("ix_inbox_answered_at", "inbox", ["answered_at", "seq"])
    op.create_index("ix_inbox_chat_id", "inbox", ["chat_id", "received_at"])
    op.create_table(
        "button",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("screen", sa.String(36), nullable=False),
        sa.Column("owner", sa.BigInteger, nullable=False),
        sa.Column("action", sa.String(24), nullable=False),
        sa.Column("args", sa.JSON, nullable=False),
        sa.Column("expires_at", UTC, nullable=False),
        sa.Column("used_at", UTC),
        sa.PrimaryKeyConstraint("id", name="pk_button"),
    )
    op.create_index("ix_button_screen", "button", ["screen"])
    op.create_index("ix_button_expires_at", "button", ["expires_at"])


def _people() -> None:
    op.create_table(
        "invite",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("code_hash", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(36)),
        sa.Column("made_by", sa.String(64), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("expires_at", UTC, nullable=False),
        sa.Column("used_at", UTC),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_invite_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_invite"),
        sa.UniqueConstraint("code_hash", name="uq_invite_code_hash"),
    )
    op.create_table(
        "applicant",
        sa.Column("telegram_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("locale", sa.String(8), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("bad_codes", sa.Integer, nullable=False),
        sa.Column("wait_until", UTC),
        sa.Column("seen_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("telegram_id", name="pk_applicant"),
    )
    op.create_table(
        "request",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("decided_at", UTC),
        sa.Column("decided_by", sa.String(64)),
        sa.Column("granted", sa.Boolean),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_request_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_request"),
    )
    op.create_index("ix_request_decided_at", "request", ["decided_at"])
    op.create_index("ix_request_user_id", "request", ["user_id"])
    op.create_table(
        "draft",
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("plan", sa.String(32), nullable=False),
        sa.Column("changed_at", UTC, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_draft_user_id"),
        sa.PrimaryKeyConstraint("user_id", name="pk_draft"),
    )
