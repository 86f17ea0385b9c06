"""An automator plug-in that is installed for a test as a package from outside would be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

CODE = '''
"""Runs awk programs over a resource's file."""

from pydantic import Field, SecretStr

from coopr_core.automators.contract import ActionFields, AutomatorSettings, Result
from coopr_core.automators.program import Program, ProgramAutomator


class AwkFields(ActionFields):
    program: str = Field(title="Program", description="The awk program.")
    file: str = Field(default="", title="File", description="A resource's file it reads.")
    times: int = Field(default=1, ge=1, title="Times", description="How often.")


class AwkSettings(AutomatorSettings):
    interpreter: str = Field(default="awk", title="Interpreter")
    token: SecretStr = Field(default=SecretStr(""), title="Token")


class AwkAutomator(ProgramAutomator[AwkFields]):
    fields_type = AwkFields
    settings_type = AwkSettings
    resources = ("awk-library",)

    def bootstrap(self, context, session):
        found = session.run(f"command -v {self.settings.interpreter}")
        return Result(found.exit_status, found.tail)

    def program(self, context, fields):
        text = context.folders.task_file(context.task_id, "awk")
        files = [context.resource(fields.file)] * fields.times if fields.file else []
        return Program([self.settings.interpreter, "-f", text, *files], files={"awk": fields.program})
'''


def install_awk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the automator ``awk`` as pip would."""
    (folder / "coopr_awk.py").write_text(CODE)
    about = folder / "coopr_awk-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: coopr-awk\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[coopr.automators]\nawk = coopr_awk:AwkAutomator\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "coopr_awk", raising=False)
