"""`make telegram`: a Bot API on loopback and a phone in the terminal, to try the bot without Telegram.

Type what you would send; a number presses the button of that number; `as NUMBER [LANGUAGE]` makes you somebody else.
Files that the bot sends are written to a folder.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.telegram.server import TOKEN, BotApi, Message, Person

PORT, ADMIN, USER = 8081, 11, 501


class Phone:
    """What one person sees. Messages are printed when they come, and again when they change."""

    def __init__(self, api: BotApi, folder: Path) -> None:
        self.api, self.folder = api, folder
        self.people: dict[int, Person] = {}
        self.shown: dict[int, str] = {}
        self.me = self.become(USER, "en")

    def become(self, number: int, language: str) -> Person:
        name = {ADMIN: "Olga", USER: "Ivan"}.get(number, f"Person{number}")
        self.me = self.people.setdefault(number, self.api.person(number, name, language))
        return self.me

    def watch(self) -> None:
        """Print what is new, whoever it is for."""
        while True:
            with self.api.changed:
                self.api.changed.wait(1)
                fresh = [each for chat in list(self.api.chats.values()) for each in chat]
            for each in fresh:
                face = f"{each.text}{each.rows}"
                if self.shown.get(each.number) != face:
                    self.shown[each.number] = face
                    self.show(each)

    def show(self, message: Message) -> None:
        print(f"\n--- bot to {message.chat} " + "-" * 40)
        for name, content in message.files.values():
            path = self.folder / name
            path.write_bytes(content)
            print(f"[file {path}]")
        print(message.text)
        number = 0
        for row in message.rows:
            words = []
            for button in row:
                number += 1
                words.append(f"[{number}] {button['text']}" + (f" -> {button['url']}" if "url" in button else ""))
            print("   ".join(words))
        print(f"{self.me.number}> ", end="", flush=True)

    def do(self, line: str) -> None:
        words = line.split()
        if words[0] == "as" and len(words) > 1 and words[1].isdigit():
            self.become(int(words[1]), words[2] if len(words) > 2 else "en")
        elif line.isdigit():
            self.press(int(line))
        else:
            self.me.say(line)

    def press(self, number: int) -> None:
        under = next((each for each in reversed(self.me.messages) if each.rows), None)
        buttons = [button for row in under.rows for button in row] if under else []
        if not 0 < number <= len(buttons) or "callback_data" not in buttons[number - 1]:
            print("there is no such button")
            return
        key = self.me.tap(buttons[number - 1]["callback_data"], under)
        with self.api.changed:
            self.api.changed.wait_for(lambda: key in self.api.answers, 3)
        toast = self.api.answers.get(key, {}).get("text")
        if toast:
            print(f"({toast})")


def main() -> int:
    api = BotApi(port=PORT, first=int(time.time()))  # a state that was used before knows older updates
    with tempfile.TemporaryDirectory(prefix="telegram-") as folder:
        phone = Phone(api, Path(folder))
        print("In another terminal, beside your other settings:\n")
        print(f"  export VPNCTL_TELEGRAM_API_URL={api.url} VPNCTL_BOT_TOKEN={TOKEN} VPNCTL_ADMIN_IDS={ADMIN}")
        print("  vpnctl bot run\n")
        print(f"You are {USER}; `as {ADMIN}` makes you the admin. Begin with /start. Ctrl-D ends.")
        threading.Thread(target=phone.watch, daemon=True).start()
        print(f"{phone.me.number}> ", end="", flush=True)
        for line in sys.stdin:
            if line.strip():
                phone.do(line.strip())
            print(f"{phone.me.number}> ", end="", flush=True)
    api.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
