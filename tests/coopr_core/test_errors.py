"""Every error says whether trying again helps."""

from __future__ import annotations

import pytest

from coopr_core import errors
from coopr_core.errors import CooprError, Retry


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
