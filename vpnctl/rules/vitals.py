"""A machine's vital signs: what the node says of itself, and which of it is worth a warning. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FULL_DISK, LITTLE_MEMORY, BUSY_CPU, LOAD_PER_CPU, CLOCK_SECONDS = 90, 5, 95, 4.0, 60
"""Percent, percent, percent, processes, seconds."""
_FIELDS = 7


@dataclass(frozen=True)
class Vitals:
    """Percent where nothing else is said; `skew` is seconds by which the node's clock is ahead of ours."""

    load: float
    cpus: int
    cpu: int
    memory_free: int
    disk: int
    skew: int


def vitals(text: str, node_clock: int, our_clock: float) -> Vitals | None:
    """Return what the node's line of numbers says: load, CPUs, memory, available memory, disk, inodes, CPU use.

    A node that sends nonsense has no vital signs.
    """
    words = text.split()
    try:
        load, numbers = float(words[0]), [int(word) for word in words[1:]]
    except (ValueError, IndexError):
        return None
    if len(words) != _FIELDS or not 0 <= load < 10**6 or any(not 0 <= number < 2**53 for number in numbers):
        return None
    cpus, memory, free, disk, inodes, cpu = numbers
    skew = max(-(10**9), min(10**9, int(node_clock - our_clock)))
    return Vitals(load, max(cpus, 1), min(cpu, 100), 100 * min(free, memory) // max(memory, 1), max(disk, inodes), skew)


def warnings(found: Vitals | None) -> dict[str, str]:
    """Return what is worth a warning: a short name, and the words."""
    if found is None:
        return {}
    checks: Mapping[str, tuple[bool, str]] = {
        "disk": (found.disk >= FULL_DISK, f"the disk is {found.disk} % full"),
        "memory": (found.memory_free < LITTLE_MEMORY, f"only {found.memory_free} % of the memory is free"),
        "cpu": (found.cpu >= BUSY_CPU, f"the CPU is {found.cpu} % busy"),
        "load": (found.load > LOAD_PER_CPU * found.cpus, f"the load is {found.load:g} on {found.cpus} CPUs"),
        "clock": (abs(found.skew) > CLOCK_SECONDS, f"its clock is {found.skew:+d} seconds off"),
    }
    return {name: words for name, (true, words) in checks.items() if true}


LASTING = ("cpu", "memory", "load")
"""Warnings that count only when they last for three looks."""
