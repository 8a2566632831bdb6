"""Languages: everything is translated, placeholders and tags agree, plurals are right, catalogues are compiled."""

from __future__ import annotations

import gettext
import io
import re
import subprocess
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.extract import extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from bot.routes import LISTED, LISTED_FOR_ADMINS
from bot.screen import plain
from docs import cldr
from vpnctl.rules.translation import Persian
from vpnctl.texts.words import LOCALES, NATIVE, Words

ROOT = Path(__file__).parents[2]
CATALOGUES = {each: ROOT / f"vpnctl/texts/locales/{each}/LC_MESSAGES/vpnctl.po" for each in LOCALES if each != "en"}
KEYWORDS = {"say": None, "many": (1, 2), "mark": None, "choice": None}
SOURCES = [
    *(
        ROOT / f"vpnctl/{name}.py"
        for name in (
            *("texts/words", "texts/wording", "texts/money_letters", "texts/figures", "texts/reasons"),
            "actions/people/applicants",
        )
    ),
    ROOT / "vpnctl/actions/sales/booking.py",
    *sorted((ROOT / "vpnctl/protocols").rglob("*.py")),
    *sorted((ROOT / "vpnctl/payments").rglob("*.py")),
    *sorted((ROOT / "bot").rglob("*.py")),
]
TAGS = re.compile(r"</?[a-z]+>")


def texts():
    """Every text that the code says, as (singular, plural or None)."""
    found = set()
    for path in SOURCES:
        for _, message, _, _ in extract_from_file("python", path, keywords=KEYWORDS):
            found.add(message if isinstance(message, tuple) else (message, None))
    return found


def catalogue(locale):
    with CATALOGUES[locale].open("rb") as file:
        return read_po(file, locale)


def fields(text):
    return sorted({name for _, name, _, _ in Formatter().parse(text) if name})


@pytest.mark.parametrize("locale", CATALOGUES)
def test_everything_is_translated_and_nothing_else(locale):
    known = {each.id if isinstance(each.id, tuple) else (each.id, None): each for each in catalogue(locale) if each.id}
    said = {(each[0], each[1]) for each in texts()}
    assert len(said) > 150
    assert {one for one, _ in said} - {one for one, _ in known} == set(), "run: make locales, and translate"
    assert {one for one, _ in known} - {one for one, _ in said} == set(), "run: make locales"
    for each in known.values():
        forms = each.string if isinstance(each.string, tuple) else (each.string,)
        assert all(form.strip() for form in forms), each.id
        assert not each.fuzzy, each.id


@pytest.mark.parametrize("locale", CATALOGUES)
def test_placeholders_and_tags_are_those_of_the_source(locale):
    for each in catalogue(locale):
        if not each.id:
            continue
        sources = each.id if isinstance(each.id, tuple) else (each.id,)
        for form in each.string if isinstance(each.string, tuple) else (each.string,):
            assert fields(form) == fields(sources[0]), each.id
            assert sorted(TAGS.findall(form)) == sorted(TAGS.findall(sources[0])), each.id
            assert form.count("\n") == sources[0].count("\n"), each.id


@pytest.mark.parametrize("locale", CATALOGUES)
def test_the_compiled_catalogue_is_that_of_the_source(locale):
    made = io.BytesIO()
    write_mo(made, catalogue(locale))
    made.seek(0)
    with CATALOGUES[locale].with_suffix(".mo").open("rb") as file:
        there, wanted = (gettext.GNUTranslations(each)._catalog for each in (file, made))
    assert {key: text for key, text in there.items() if key} == {key: text for key, text in wanted.items() if key}


RU = {
    0: "0 дней",
    1: "1 день",
    2: "2 дня",
    5: "5 дней",
    11: "11 дней",
    21: "21 день",
    22: "22 дня",
    111: "111 дней",
    112: "112 дней",
}


@pytest.mark.parametrize(("number", "text"), RU.items())
def test_russian_plurals(number, text):
    assert Words("ru").many("{n} day", "{n} days", number) == text


def test_plurals_of_the_others():
    assert [Words("en").many("{n} day", "{n} days", number) for number in (0, 1, 2)] == ["0 days", "1 day", "2 days"]
    assert Words("fa").many("{n} day", "{n} days", 3) == "۳ روز"


def test_an_unknown_language_is_english():
    assert Words("tlh").say("Menu") == "Menu"
    assert set(NATIVE) == set(LOCALES)


def test_values_are_escaped_in_markup_and_set_off_in_persian():
    assert Words("en", markup=True).say("Search: {search}", search="<b>&") == "Search: &lt;b&gt;&amp;"
    assert Words("en").say("Search: {search}", search="<b>&") == "Search: <b>&"
    assert "\u2068fi\u2069" in Words("fa").say("Search: {search}", search="fi")
    assert Words("en").say("Search: {search}", search="a\x1b[2Jb\u202e") == "Search: a\\x1b[2Jb\\u202e"


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (499, "EUR", ("€4.99", "4,99 €", "۴٫۹۹ €")),
        (39900, "RUB", ("RUB 399", "399 ₽", "۳۹۹ RUB")),
        (5, "RUB", ("RUB 0.05", "0,05 ₽", "۰٫۰۵ RUB")),
        (150000000, "IRR", ("IRR 1,500,000", "1 500 000 IRR", "۱٬۵۰۰٬۰۰۰ ریال")),
        (250, "XTR", ("250 ⭐️", "250 ⭐️", "۲۵۰ ⭐️")),
        (1500, "JPY", ("JP¥1,500", "1 500 ¥", "۱٬۵۰۰ ¥")),
        (1234, "KWD", ("KWD 1.234", "1,234 KWD", "۱٫۲۳۴ KWD")),
    ],
)
def test_money_is_written_as_people_of_a_language_write_it_in_the_currencys_own_digits(amount, currency, text):
    assert tuple(Words(each).money(amount, currency).replace("\xa0", " ") for each in ("en", "ru", "fa")) == text


def test_what_the_package_has_of_cldr_is_what_babel_has():
    assert cldr.FILE.read_text(encoding="utf-8") == cldr.text(), "run: make locales"


def test_times_and_sizes_are_written_as_people_of_a_language_write_them():
    at = datetime(2026, 11, 28, 16, 4, tzinfo=UTC)
    moments = {each: Words(each).moment(at, UTC) for each in LOCALES}
    assert moments == {
        "en": "28 Nov 2026, 16:04 UTC",
        "ru": "28 нояб. 2026, 16:04 UTC",
        "fa": "۷ آذر ۱۴۰۵، ۱۶:۰۴ UTC",
    }
    sizes = [Words(each).size(5 * 2**30) for each in LOCALES]
    assert sizes == ["5.0 GiB", "5,0 ГиБ", "۵٫۰ گیبی‌بایت"]
    assert [Words(each).month("2026-11") for each in LOCALES] == ["November 2026", "ноябрь 2026", "نوامبر ۲۰۲۶"]


def test_persian_texts_may_have_latin_digits_and_the_gregorian_calendar():
    plain = Words("fa", persian=Persian(digits=False, solar=False))
    at = datetime(2026, 11, 28, 16, 4, tzinfo=UTC)
    assert plain.moment(at, UTC) == "28 نوامبر 2026، 16:04 UTC"
    assert plain.many("{n} day", "{n} days", 3) == "3 روز"
    assert plain.money(150000000, "IRR").replace("\xa0", " ") == "1,500,000 ریال"


def test_devices_that_the_bot_named_are_called_by_their_kind():
    assert [Words(each).device("phone-2") for each in LOCALES] == ["phone-2", "Телефон 2", "گوشی ۲"]
    assert Words("ru").say("new keys for {device}", device="tv") == "новые ключи для устройства «Телевизор»"
    assert Words("ru").device("mum-phone") == "mum-phone"


def test_numbers_that_people_type_keep_their_digits():
    assert "17" in Words("fa").say("Order {number}: {plan}, {price}. It is paid.", number=17, plan="x", price="y")


@pytest.mark.parametrize(
    ("hours", "text"),
    [
        (0, "0 hours"),
        (0.1, "1 hour"),
        (1, "1 hour"),
        (24.02, "24 hours"),
        (47, "47 hours"),
        (48, "2 days"),
        (71.9, "3 days"),
    ],
)
def test_time_that_is_left_is_told_in_days_and_below_two_days_in_hours(hours, text):
    now = datetime(2027, 1, 15, 12, tzinfo=UTC)
    assert Words().left(now + timedelta(hours=hours), now) == text


@pytest.mark.parametrize("locale", LOCALES)
def test_descriptions_of_commands_fit(locale):
    for text in (LISTED | LISTED_FOR_ADMINS).values():
        said = Words(locale).say(text)
        assert 1 <= len(said) <= 256
        assert plain(said) == said


def test_the_wheel_carries_the_compiled_catalogues_and_the_bot(tmp_path):
    import sys

    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for locale in CATALOGUES:
        assert f"vpnctl/texts/locales/{locale}/LC_MESSAGES/vpnctl.mo" in names
    assert {"bot/run.py", "vpnctl/cli/bot.py"} <= set(names)
