"""Verbs on people. `user add` on the command line approves, and means unlimited as long as there are no plans."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from vpnctl.actions.outcome import Done, stamp
from vpnctl.actions.people.peers import revoke_rows
from vpnctl.app import App
from vpnctl.errors import Conflict, InvalidInput
from vpnctl.rules import grammar
from vpnctl.rules.orders import OrderState, PaymentState
from vpnctl.store import events, find, models, outbox, trials
from vpnctl.store.engine import Tx
from vpnctl.store.outbox import USER, Message
from vpnctl.store.people import plans_in_use
from vpnctl.store.queue import expect_change, homes
from vpnctl.store.rows import Peer, User
from vpnctl.texts.words import LOCALES

MAX_DEVICES = 1000
MAX_TELEGRAM_ID = 2**52


def add(app: App, names: Sequence[str], **details: Any) -> list[User]:
    """Add approved users. Raises Conflict when one of the names is taken; then none is added.

    Unless told, they are unlimited as long as there are no plans; with plans, access is granted or bought.
    """
    values = _details(details)
    with app.store.write() as tx:
        return insert(tx, app, names, values, "user.add")


def insert(tx: Tx, app: App, names: Sequence[str], values: dict[str, Any], verb: str) -> list[User]:
    """Add users inside a transaction."""
    rows = _new(app, names, {"unlimited": not plans_in_use(tx)} | values)
    _refuse_taken(tx, [row.name for row in rows])
    if values.get("telegram_id") is not None:
        _refuse_taken_account(tx, values["telegram_id"])
    tx.insert_all(rows)
    made = [(("user", row.id, row.name), None, {"unlimited": row.unlimited}) for row in rows]
    events.record_all(tx, stamp(app), verb, [*made])
    return rows


def _new(app: App, names: Sequence[str], values: dict[str, Any]) -> list[User]:
    now = app.clock()
    rows = [
        User(
            **{
                "id": str(uuid.uuid4()),
                "name": grammar.name(name, "user name"),
                "display_name": "",
                "locale": "en",
                "requested_at": now,
                "approved_at": now,
                "approved_by": app.actor,
                "note": "",
                "created_at": now,
                **values,
            }
        )
        for name in names
    ]
    twice = sorted(name for name, count in Counter(row.name for row in rows).items() if count > 1)
    if twice:
        raise InvalidInput(f"a name is given twice: {', '.join(twice[:5])}", "remove one of them")
    return rows


def _refuse_taken_account(tx: Tx, telegram_id: int) -> None:
    owner = tx.one(User, models.user.c.telegram_id == telegram_id, models.user.c.removed_at.is_(None))
    if owner is not None:
        raise Conflict(f"that Telegram id is {owner.name}'s", f"vpnctl user show {owner.name}")


def _refuse_taken(tx: Tx, names: list[str]) -> None:
    table = models.user.c
    for start in range(0, len(names), 500):
        part = names[start : start + 500]
        taken = tx.execute(sa.select(table.name).where(table.name.in_(part), table.removed_at.is_(None))).scalar()
        if taken is not None:
            raise Conflict(f"user {taken!r} exists already", f"vpnctl user show {taken}")


def change(app: App, name: str, details: dict[str, Any]) -> Done[User]:
    """Change details of a user (`name` among them); details that are None stay as they are."""
    values = _details(details)
    with app.store.write() as tx:
        row = find.user(tx, name)
        if values.get("name", row.name) != row.name:
            _refuse_taken(tx, [values["name"]])
        if values.get("telegram_id", row.telegram_id) != row.telegram_id:
            _refuse_taken_account(tx, values["telegram_id"])
        if values:
            tx.update(User, models.user.c.id == row.id, **values)
            if values.get("telegram_id", row.telegram_id) != row.telegram_id:
                link(tx, app, row, values["telegram_id"])
            shown = [key for key in values if key not in ("display_name", "note")]
            before = {key: getattr(row, key) for key in shown}
            events.record(
                tx, stamp(app), "user.set", ("user", row.id, row.name), before, {key: values[key] for key in shown}
            )
        after_ = find.user(tx, values.get("name", name))
        flipped = after_.unlimited != row.unlimited
        if flipped:
            expect_change(tx, app.clock(), models.peer.c.user_id == row.id)
        return Done(after_, homes(tx, row.id) if flipped else [])


def link(tx: Tx, app: App, row: User, telegram_id: int) -> None:
    """What belongs to a Telegram account belongs to the user who gets it: a trial is had once a person."""
    trials.link(tx, app.vault, row, telegram_id)


def _details(details: dict[str, Any]) -> dict[str, Any]:
    values = {key: value for key, value in details.items() if value is not None}
    if "name" in values:
        values["name"] = grammar.name(values["name"], "user name")
    if "display_name" in values:
        values["display_name"] = grammar.free_text(values["display_name"], "display name")
    if "note" in values:
        values["note"] = grammar.free_text(values["note"], "note")
    if "locale" in values and values["locale"] not in LOCALES:
        raise InvalidInput(f"'{grammar.clean(values['locale'])}' is not a language", f"one of: {', '.join(LOCALES)}")
    if not 0 <= values.get("device_limit", 0) <= MAX_DEVICES:
        raise InvalidInput("the device limit is out of range", f"0 to {MAX_DEVICES}; 0 means no limit")
    if values.get("device_limit") == 0:
        values["device_limit"] = None
    if not 0 < values.get("telegram_id", 1) <= MAX_TELEGRAM_ID:
        raise InvalidInput("that is not a Telegram user id", "a positive number; usernames are not ids")
    return values


def block(app: App, name: str) -> Done[User]:
    """Cut all peers of a user until `unblock`; keys and addresses are kept."""
    return _set_block(app, name, blocked=True)


def unblock(app: App, name: str) -> Done[User]:
    """Let a blocked user in again."""
    return _set_block(app, name, blocked=False)


def _set_block(app: App, name: str, *, blocked: bool) -> Done[User]:
    with app.store.write() as tx:
        row = find.user(tx, name)
        if (row.blocked_at is not None) != blocked:
            values = {"blocked_at": app.clock() if blocked else None, "blocked_by": app.actor if blocked else None}
            tx.update(User, models.user.c.id == row.id, **values)
            expect_change(tx, app.clock(), models.peer.c.user_id == row.id)
            events.record(tx, stamp(app), "user.block" if blocked else "user.unblock", ("user", row.id, row.name))
            if row.telegram_id is not None and row.approved_at is not None:
                kind, key = ("suspended" if blocked else "restored"), app.clock().strftime("%Y%m%dT%H%M%S%f")
                outbox.enqueue(tx, [Message(USER, kind, row.id, key, {}, row.id)], app.clock())
        return Done(find.user(tx, name), homes(tx, row.id))


def remove(app: App, name: str, *, erase: bool = False) -> Done[User]:
    """Remove a user and revoke all peers. With `erase`, everything about the person goes; tombstones have no name."""
    with app.store.write() as tx:
        row = find.user(tx, name)
        return Done(row, remove_row(tx, app, row, erase=erase))


def remove_row(tx: Tx, app: App, row: User, *, erase: bool = False) -> list[str]:
    """Remove a user inside a transaction; return the nodes to settle. See `remove`."""
    if erase:
        _refuse_open_money(tx, row)
    nodes = homes(tx, row.id)
    live = tx.all(Peer, models.peer.c.user_id == row.id, models.peer.c.revoked_at.is_(None))
    revoke_rows(tx, app, live, row.name)
    tx.execute(sa.delete(models.link).where(models.link.c.user_id == row.id))
    values: dict[str, Any] = {"removed_at": app.clock()}
    if erase:
        values |= {"name": row.id, "display_name": "", "telegram_id": None, "note": "", "locale": "en"}
        _erase_labels(tx, row)
        _erase_talk(tx, row)
    tx.update(User, models.user.c.id == row.id, **values)
    label = row.id if erase else row.name
    events.record(tx, stamp(app), "user.erase" if erase else "user.remove", ("user", row.id, label))
    return nodes


def _refuse_open_money(tx: Tx, row: User) -> None:
    """Raise Conflict as long as money of theirs is on its way back, or waits to be decided on or to be booked."""
    order, payment, inbox = models.order.c, models.payment.c, models.inbox.c
    open_ = payment.state.in_((PaymentState.REFUNDING, PaymentState.REVIEW))
    theirs = (
        sa.select(payment.id).join(models.order, order.id == payment.order_id).where(order.user_id == row.id, open_)
    )
    unsettled = tx.execute(theirs).scalar()
    if unsettled is not None:
        raise Conflict(f"a payment of {row.name} is not settled", f"vpnctl payment show {unsettled[:8]}")
    undecided = (OrderState.REFUNDING, OrderState.PROOF, OrderState.REVIEW)
    number = tx.execute(sa.select(order.number).where(order.user_id == row.id, order.state.in_(undecided))).scalar()
    if number is not None:
        raise Conflict(f"order {number} of {row.name} is not settled", f"vpnctl order show {number}")
    if row.telegram_id is not None:
        waits = sa.select(inbox.body).where(inbox.chat_id == row.telegram_id, inbox.handled_at.is_(None))
        if any(body and "successful_payment" in body.get("message", {}) for body in tx.execute(waits).scalars()):
            raise Conflict(f"a payment of {row.name} waits for the bot to book it", "start the bot: vpnctl bot run")


def _erase_labels(tx: Tx, row: User) -> None:
    """Take the name out of the audit, and the devices' names out of tombstones."""
    table = models.event
    theirs = [
        sa.select(each.c.id).where(each.c.user_id == row.id)
        for each in (models.peer, models.subscription, models.request)
    ]
    mine = sa.or_(table.c.subject_id == row.id, *(table.c.subject_id.in_(each) for each in theirs))
    tx.execute(sa.update(table).where(mine).values(subject=table.c.subject_id))
    tx.execute(sa.update(table).where(table.c.subject_id == row.id).values(before=sa.null(), after=sa.null()))
    if row.telegram_id is not None:
        tx.execute(sa.update(table).where(table.c.actor == f"bot:{row.telegram_id}").values(actor=f"bot:{row.id}"))
    tx.update(Peer, models.peer.c.user_id == row.id, device="erased")


def _erase_talk(tx: Tx, row: User) -> None:
    """Take away what the bot kept of a person: their messages, menus, wishes, and what admins were told of them."""
    tx.execute(sa.delete(models.draft).where(models.draft.c.user_id == row.id))
    notice, asked = models.notice.c, sa.select(models.request.c.id).where(models.request.c.user_id == row.id)
    named = notice.details["user"].as_string() == row.name
    told = sa.or_(notice.user_id == row.id, notice.subject_id == row.id, notice.subject_id.in_(asked), named)
    tx.execute(sa.delete(models.notice).where(told))
    tx.execute(sa.delete(models.request).where(models.request.c.user_id == row.id))
    bought = sa.select(models.order.c.id).where(models.order.c.user_id == row.id)
    tx.execute(sa.delete(models.proof).where(models.proof.c.order_id.in_(bought)))
    tx.execute(sa.update(models.payment).where(models.payment.c.order_id.in_(bought)).values(payer=None))
    _erase_books(tx, row, bought)
    if row.telegram_id is not None:
        payer = models.payment.c.payer == str(row.telegram_id)
        tx.execute(sa.update(models.payment).where(payer).values(payer=None))
        tx.execute(sa.delete(models.inbox).where(models.inbox.c.chat_id == row.telegram_id))
        tx.execute(sa.delete(models.button).where(models.button.c.owner == row.telegram_id))
        tx.execute(sa.delete(models.prompt).where(models.prompt.c.telegram_id == row.telegram_id))
        tx.execute(sa.delete(models.applicant).where(models.applicant.c.telegram_id == row.telegram_id))


def _erase_books(tx: Tx, row: User, bought: sa.Select[Any]) -> None:
    """Take the account's number out of orders and of what was noted about them; the sums stay, as books must."""
    paid = sa.select(models.payment.c.id).where(models.payment.c.order_id.in_(bought))
    event, order = models.event, models.order
    theirs = sa.or_(event.c.subject_id.in_(bought), event.c.subject_id.in_(paid))
    tx.execute(sa.update(event).where(theirs).values(before=sa.null(), after=sa.null()))
    mine = (order.c.user_id == row.id, order.c.decided_by == f"bot:{row.telegram_id}")
    tx.execute(sa.update(order).where(*mine).values(decided_by=f"bot:{row.id}"))


def reachable(tx: Tx, telegram_id: int, at: datetime | None) -> None:
    """Note that a person blocked the bot at that time; None: they talk to it again."""
    where = (models.user.c.telegram_id == telegram_id, models.user.c.removed_at.is_(None))
    tx.update(User, *where, bot_blocked_at=at)


def by_id(tx: Tx, user_id: str) -> User | None:
    """Return a living user."""
    return tx.one(User, models.user.c.id == user_id, models.user.c.removed_at.is_(None))


def by_telegram(tx: Tx, telegram_id: int) -> User | None:
    """Return the living user with that Telegram account."""
    return tx.one(User, models.user.c.telegram_id == telegram_id, models.user.c.removed_at.is_(None))
