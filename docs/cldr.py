"""Writes what the bot needs of Unicode CLDR into the package: `make locales`. Babel itself would cost it 11 MiB."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from babel import Locale

from vpnctl.texts.figures import LOCALES

FILE = Path(__file__).parents[1] / "vpnctl/texts/locales/cldr.json"


def data() -> dict[str, Any]:
    """Return, by language: names of months, separators of numbers, and the signs of currencies that have one."""
    return {ours: _of(Locale.parse(theirs)) for ours, theirs in LOCALES.items()}


def _of(locale: Locale) -> dict[str, Any]:
    symbols = locale.number_symbols["latn"]
    signs = {code: sign for code, sign in sorted(locale.currency_symbols.items()) if sign != code}
    return {
        "months": [locale.months["format"]["abbreviated"][number] for number in range(1, 13)],
        "whole_months": [locale.months["stand-alone"]["wide"][number] for number in range(1, 13)],
        "decimal": symbols["decimal"],
        "group": symbols["group"],
        "signs": signs,
    }


def text() -> str:
    """Return the file."""
    return json.dumps(data(), ensure_ascii=False, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
