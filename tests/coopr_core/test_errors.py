"""Every error has a code, an exit code, and says whether trying again helps: in one table, which is all there is."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import coopr_core
from coopr_core import errors
from coopr_core.errors import CooprError, Retry

TABLE = {
    "failed": (1, "later"),
    "address-in-use": (1, "later"),
    "disk-full": (1, "later"),
    "remote-failed": (1, "later"),
    "schema-too-new": (1, "never"),
    "still-running": (1, "later"),
    "store-unavailable": (1, "later"),
    "task-failed": (1, "later"),
    "invalid": (3, "never"),
    "dependency-cycle": (3, "never"),
    "not-recordable": (3, "never"),
    "unresolved-macro": (3, "never"),
    "no-login-shell": (4, "later"),
    "unreachable": (4, "later"),
    "outcome-unknown": (4, "later"),
    "wrong-host-key": (4, "later"),
    "machine-failed": (4, "elsewhere"),
    "machine-gone": (4, "elsewhere"),
    "throttled": (4, "later"),
    "tasks-failed": (5, "later"),
    "layout-invalid": (6, "never"),
    "unsatisfiable": (6, "never"),
    "no-capacity": (6, "elsewhere"),
    "over-quota": (6, "never"),
    "timed-out": (7, "later"),
    "not-found": (8, "never"),
    "busy": (9, "later"),
    "denied": (10, "never"),
    "refused": (10, "never"),
    "interrupted": (130, "never"),
    "paused": (130, "never"),
}
"""The exit code of the command that ends with an error of this code, and whether trying again helps."""


def known(kind: type[CooprError] = CooprError) -> set[type[CooprError]]:
    """The class and all that derive from it in the core."""
    return {kind, *(found for each in kind.__subclasses__() for found in known(each))}


def test_the_table_is_the_whole_tree() -> None:
    for module in pkgutil.walk_packages(coopr_core.__path__, "coopr_core."):
        if "builtin" not in module.name and "__main__" not in module.name and "migrations" not in module.name:
            importlib.import_module(module.name)
    ours = [kind for kind in known() if kind.__module__.startswith("coopr_core.")]
    found = {kind.__name__: (kind.code, (kind.exit_code, str(kind.retry))) for kind in ours}
    wrong = {name: row for name, row in found.items() if TABLE.get(row[0]) != row[1]}
    assert wrong == {}
    assert {code for code, _ in found.values()} == set(TABLE)


@pytest.mark.parametrize(
    ("error", "retry"),
    [
        (CooprError("x"), "later"),
        (errors.InvalidInput("x"), "never"),
        (errors.NotFound("x"), "never"),
        (errors.OverQuota("x"), "never"),
        (errors.Refused("x"), "never"),
        (errors.Interrupted("x"), "never"),
        (errors.Denied("x"), "never"),
        (errors.Busy("x"), "later"),
        (errors.TimedOut("x"), "later"),
        (errors.Unreachable("x"), "later"),
        (errors.OutcomeUnknown("x"), "later"),
        (errors.Throttled("x", retry_after=3), "later"),
        (errors.MachineFailed("x"), "elsewhere"),
        (errors.MachineGone("x"), "elsewhere"),
        (errors.NoCapacity("x", placement="zone a"), "elsewhere"),
    ],
    ids=lambda value: getattr(value, "code", value),
)
def test_an_error_says_whether_trying_again_helps_to_programs_too(error: CooprError, retry: str) -> None:
    assert error.retry is Retry(retry)
    assert error.to_json()["retry"] == retry
