"""Small charts: bars in the terminal, and bars in a picture. Pillow draws; it is there for QR codes anyway."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vpnctl.cli import output

BAR = 40
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_WIDTH, _HEIGHT, _LEFT, _FOOT = 900, 240, 60, 40
_INK, _FRAME, _PAPER = (30, 90, 160), (120, 120, 120), (255, 255, 255)


def bar(value: float, largest: float, width: int = BAR) -> str:
    """Return a bar of eighths of a character; anything above zero shows."""
    if value <= 0 or largest <= 0:
        return ""
    eighths = max(1, round(8 * width * value / largest))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def traffic_series(amounts: Sequence[int]) -> dict[str, list[float]]:
    """Return bytes in the largest unit that leaves the largest amount at least 1, named in the title."""
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    largest = max(amounts, default=0)
    power = max((number for number in range(len(units)) if largest >= 1024**number), default=0)
    return {f"traffic, {units[power]}": [amount / 1024**power for amount in amounts]}


def axis(value: float) -> str:
    """Return the largest value for the axis: at most four figures, never as a power."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}".rstrip("0").rstrip(".")  # noqa: PLR2004


def short(label: str) -> str:
    """Return a label that fits under its bar: of a day without its year."""
    return label[5:] if len(label) == 10 and label[4] == label[7] == "-" else label[:10]  # noqa: PLR2004


def write_png(path: Path, labels: Sequence[str], series: Mapping[str, Sequence[float]]) -> None:
    """Write one bar chart per series below each other. Refuses to overwrite."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (_WIDTH, _HEIGHT * max(1, len(series))), _PAPER)
    draw = ImageDraw.Draw(picture)
    for number, (title, values) in enumerate(series.items()):
        _chart(draw, number * _HEIGHT, title, labels, values)
    made = io.BytesIO()
    picture.save(made, "PNG")
    output.write_new(path, made.getvalue())


def _chart(draw: Any, top: int, title: str, labels: Sequence[str], values: Sequence[float]) -> None:
    base, ceiling = top + _HEIGHT - _FOOT, top + 30
    largest = max(values, default=0) or 1
    draw.text((_LEFT, top + 8), title, fill=_FRAME)
    draw.line((_LEFT, ceiling, _LEFT, base), fill=_FRAME)
    draw.line((_LEFT, base, _WIDTH - 10, base), fill=_FRAME)
    draw.text((4, ceiling - 4), axis(largest), fill=_FRAME)
    step = (_WIDTH - 10 - _LEFT) / max(1, len(values))
    every = max(1, round(len(values) * 50 / (_WIDTH - _LEFT)))
    for number, value in enumerate(values):
        left = _LEFT + number * step
        if value > 0:
            draw.rectangle(
                (left + step * 0.15, base - (base - ceiling) * value / largest, left + step * 0.85, base - 1), fill=_INK
            )
        if number % every == 0:
            draw.text((left + 2, base + 6), short(labels[number]), fill=_FRAME)
