"""pydantic's findings in words a person understands: which key, what is wrong with it, what was perhaps meant.

Used for catalog files and for requests; a finding becomes a ``Problem`` with the path of the key. Values are shown only
where a key of ours has the wrong kind of value, never for keys we do not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin

from pydantic import AliasChoices, BaseModel, ValidationError

from coopr_core.suggestions import did_you_mean

Path = tuple[str | int, ...]

_WANTED = {
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a map",
    "mapping_type": "a map",
    "model_type": "a map",
    "model_attributes_type": "a map",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}


def explain(
    error: ValidationError,
    model: type[BaseModel],
    value: Any,
    unknown_key: Callable[[Path], str] = lambda path: "",
) -> list[tuple[Path, str]]:
    """Return each finding as the path of its key and a sentence, in the order of the paths, none twice.

    ``unknown_key`` may have a sentence of its own for the path of a key that is not known; each of these is told once.
    """
    found: dict[Path, str] = {}
    for detail in error.errors(include_url=False):
        path = _path_in(detail, value)
        own = unknown_key(path) if detail["type"] == "extra_forbidden" else ""
        if own:
            if own not in found.values():
                found[path] = own
            continue
        message = _message(detail, path, model)
        if path in found and found[path] != message:
            message = _both(found[path], message)
        found[path] = message
    return list(found.items())


def _path_in(detail: Mapping[str, Any], value: Any) -> Path:
    """Return the path without the parts pydantic adds for the members of a union, which the value does not have."""
    path: list[str | int] = []
    for part in detail["loc"]:
        if isinstance(value, Mapping) and (part in value or detail["type"] == "missing"):
            value = value.get(str(part))
        elif isinstance(value, Sequence) and not isinstance(value, str) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            break
        path.append(part)
    return tuple(path)


def _message(detail: Mapping[str, Any], path: Path, model: type[BaseModel]) -> str:
    kind, given = detail["type"], detail["input"]
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        key = str(path[-1]) if path else ""
        known = _known_keys(model, path[:-1])
        if key in known:
            return "says what another key there says already: write one of them"
        meant = did_you_mean(key, known)
        return f'unknown key "{key}"' + (f": {meant}" if meant else f"; known are {', '.join(sorted(known))}")
    if kind in _WANTED:
        return f"must be {_WANTED[kind]}, not {_described(given)}{_advice(kind, given)}"
    if kind == "greater_than_equal":
        return f"must be at least {detail['ctx']['ge']}, not {given}"
    if kind == "string_too_short":
        return "must not be empty"
    if kind == "literal_error":
        return f"must be one of {str(detail['ctx']['expected']).replace(chr(39), chr(34))}, not {_described(given)}"
    if kind in {"value_error", "assertion_error"}:
        return str(detail["ctx"]["error"])
    message = str(detail["msg"])
    return message[:1].lower() + message[1:]


def _both(one: str, other: str) -> str:
    """Two findings at one place, from the two members of a union, as one sentence."""
    start, _, rest = other.partition(", not ")
    if one.startswith("must be ") and one.endswith(rest) and start.startswith("must be "):
        return f"{one.partition(', not ')[0]} or {start.removeprefix('must be ')}, not {rest}"
    return one


def _described(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'the text "{value}"' if len(value) <= 40 else "a long text"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, Mapping):
        return "a map"
    return "a list" if isinstance(value, Sequence) else type(value).__name__


def _advice(kind: str, given: Any) -> str:
    if kind == "string_type" and isinstance(given, bool | int | float):
        return f'; put it in quotes if text is meant: "{str(given).lower()}"'
    if kind in {"tuple_type", "list_type"} and isinstance(given, str):
        return f": write [{given}]"
    return ""


def _known_keys(model: type[BaseModel], path: Path) -> list[str]:
    """Return the keys the model knows at a path."""
    here: Any = model
    for part in path:
        if isinstance(here, type) and issubclass(here, BaseModel):
            field = here.model_fields.get(str(part))
            here = _bare(field.annotation) if field else None
        else:
            arguments = get_args(here)
            here = _bare(arguments[1 if get_origin(here) is dict else 0]) if arguments else None
    if not (isinstance(here, type) and issubclass(here, BaseModel)):
        return []
    return [name for field in here.model_fields for name in (field, *_other_names(here, field))]


def _other_names(model: type[BaseModel], field: str) -> list[str]:
    """Return what else a field is called in files."""
    alias = model.model_fields[field].validation_alias
    names = alias.choices if isinstance(alias, AliasChoices) else ()
    return [name for name in names if isinstance(name, str) and name != field]


def _bare(annotation: Any) -> Any:
    return _bare(get_args(annotation)[0]) if get_origin(annotation) is Annotated else annotation
