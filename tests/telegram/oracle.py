"""Holds requests against aiogram's models of the Bot API, which are made from its documentation: a second opinion."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def _methods() -> dict[str, Any]:
    from aiogram import methods

    kinds = [kind for kind in vars(methods).values() if isinstance(kind, type) and hasattr(kind, "__api_method__")]
    return {kind.__api_method__: kind for kind in kinds if isinstance(kind.__api_method__, str)}


def check(method: str, params: dict[str, Any], files: dict[str, tuple[str, bytes]]) -> list[str]:
    """Return what is wrong with a request."""
    from pydantic import ValidationError

    model = _methods().get(method)
    if model is None:
        return [f"{method}: no such method"]
    given = params | {name: f"attach://{name}" for name in files}
    unknown = sorted(set(given) - set(model.model_fields))
    found = [f"{method}: unknown parameters {', '.join(unknown)}"] if unknown else []
    try:
        model.model_validate(given)
    except ValidationError as error:
        found += [f"{method}: {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    return found
