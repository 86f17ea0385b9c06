"""Runs words as commands, with Acme's key in the environment."""

from pydantic import Field, SecretStr

from coopr_core.automators.contract import ActionFields, AutomatorSettings
from coopr_core.automators.program import Program, ProgramAutomator


class AcmeFields(ActionFields):
    """What an action says."""

    words: str = Field(title="Words", description="What is run.")


class AcmeToolSettings(AutomatorSettings):
    """What the tool knows."""

    key: SecretStr = Field(default=SecretStr(""), title="Key")


class AcmeAutomator(ProgramAutomator[AcmeFields]):
    """Runs words."""

    fields_type = AcmeFields
    settings_type = AcmeToolSettings

    def program(self, context, fields):
        file = context.folders.task_file(context.task_id, "key")
        words = f"{fields.words} && echo the key is $(cat {file})"
        return Program(["sh", "-c", words], files={"key": self.settings.key.get_secret_value()})
