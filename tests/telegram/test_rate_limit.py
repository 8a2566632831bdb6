"""Turns to send: shared by processes, and no worse for a reboot."""

from __future__ import annotations

import pytest

from vpnctl.worker import rate_limit
from vpnctl.worker.rate_limit import RateLimit


@pytest.fixture
def slept(monkeypatch):
    """The seconds that were waited, on a clock that stands still."""
    found = []
    monkeypatch.setattr(rate_limit.time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(rate_limit.time, "sleep", found.append)
    return found


def test_two_processes_share_turns(tmp_path, slept):
    bot, helper = RateLimit(4, tmp_path / "locks/telegram"), RateLimit(4, tmp_path / "locks/telegram")
    for each in (bot, helper, bot, helper):
        each.wait()
    assert slept == [0, 0.25, 0.5, 0.75]


def test_without_a_file_threads_share_turns(slept):
    alone = RateLimit(2)
    alone.wait()
    alone.wait()
    assert slept == [0, 0.5]


@pytest.mark.parametrize(
    "left", [b"", b"abc", rate_limit._FORM.pack(1e9), rate_limit._FORM.pack(-5.0), rate_limit._FORM.pack(float("nan"))]
)
def test_what_a_reboot_or_a_crash_left_keeps_nobody(tmp_path, slept, left):
    (tmp_path / "telegram").write_bytes(left)
    RateLimit(4, tmp_path / "telegram").wait()
    assert slept == [0]


def test_several_full_chats_pause_every_process(tmp_path, slept):
    bot, helper = RateLimit(4, tmp_path / "telegram"), RateLimit(4, tmp_path / "telegram")
    for chat in (1, 1, 2):
        bot.full(chat, 30)
    helper.wait()
    bot.full(3, 30)
    helper.wait()
    assert slept[0] == 0
    assert slept[1] >= 5


def test_a_full_disk_stops_no_reply(tmp_path, slept, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    bot = RateLimit(4, tmp_path / "telegram")
    monkeypatch.setattr(rate_limit.os, "pwrite", full)
    bot.wait()
    bot.wait()
    assert slept[0] == 0
