"""Services of Loom, as Coopr was called before 0.9.7: one message a file says so, in the place of one a key."""

from __future__ import annotations

Path = tuple[str | int, ...]

MESSAGE = (
    "format before Coopr 0.9.7: dependson is dependencies.runtime.requires, script and data are fields of the action "
    "(fields.script and fields.args for shell, fields.run_list and fields.json_attributes for chef-solo)"
)


def older_format(path: Path) -> str:
    """Return the message for a key that a service had at this path before Coopr 0.9.7 and has no more, or ""."""
    older = len(path) == 4 and path[:2] == ("provisioner", "actions") and path[3] in {"script", "data"}
    return MESSAGE if older or path == ("dependson",) else ""
