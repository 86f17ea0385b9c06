"""Config trees laid over one another: a map over a map merges key by key, anything else replaces (rule D12).

Keys that differ in their Unicode form alone are one key.

Neither input is changed and the result shares no container with them, so a merged config may be edited freely. Cost:
linear in the size of both trees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from coopr_core.text_form import composed


def merge_config(base: Mapping[str, Any] | None, over: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return ``over`` laid over ``base``: maps merge deeply, lists and scalars, null too, are those of ``over``."""
    merged = {key: _copy(value) for key, value in (base or {}).items()}
    for typed, value in (over or {}).items():
        key = typed if typed in merged else _known_key(typed, merged)
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = merge_config(below, value)
        else:
            merged[key] = _copy(value)
    return merged


def requested_config(
    template: Mapping[str, Any] | None,
    request: Mapping[str, Any] | None,
    mode: Literal["merge", "replace"] = "merge",
) -> dict[str, Any]:
    """Return a cluster's config: the request's over the template's, or in its place when ``mode`` is ``"replace"``.

    Without a request's config the template's is used in either mode.
    """
    if request is not None and mode == "replace":
        return merge_config(None, request)
    return merge_config(template, request)


def _known_key(key: str, known: Iterable[str]) -> str:
    """Return the known key that is the same text as ``key``; ``key`` as it is when none is."""
    if not isinstance(key, str) or key.isascii():
        return key
    wanted = composed(key)
    return next((each for each in known if isinstance(each, str) and composed(each) == wanted), key)


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(item) for item in value]
    return value
