"""The settings of this installation: where things are kept, and the defaults of every command.

Promise: each setting comes from the first place that has it: flag, environment (``COOPR_<NAME>``), ``coopr.yaml`` in
the working folder, ``coopr.yaml`` in the user's configuration folder, default. What is wrong is reported all at once,
with file and line; a password is never shown. Costs two file look-ups.
"""

from __future__ import annotations

import getpass
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from coopr_core.concurrency import MOST_CONCURRENT
from coopr_core.errors import InvalidInput, Problem
from coopr_core.suggestions import did_you_mean

Concurrency = Annotated[int, Field(ge=1, le=MOST_CONCURRENT)]
"""How many tasks of a job may run at once, as settings and the parameters of flows take it."""

FILE_NAME = "coopr.yaml"
"""What a settings file is called, in the working folder and in the user's configuration folder."""


def default_state_dir() -> Path:
    """Return the platform's standard folder for what we keep: ``~/.local/state/coopr``, as root ``/var/lib/coopr``."""
    return platformdirs.user_state_path("coopr", appauthor=False, use_site_for_root=True)


def user_settings_file() -> Path:
    """Return the user's own settings file, which need not exist; ``COOPR_CONFIG`` names another."""
    folder = platformdirs.user_config_path("coopr", appauthor=False)
    return Path(os.environ.get("COOPR_CONFIG") or folder / FILE_NAME)


def without_password(url: str) -> str:
    """Return a database URL as it may be shown: the password, wherever it stands, is ``***``."""
    url = re.sub(r"^((?:[^:/?#]+://)?[^:@/?#]*):(?!//).*@", r"\1:***@", url, flags=re.DOTALL)
    return re.sub(r"([?&](?:password|sslpassword|passfile)=)[^&]*", r"\1***", url, flags=re.IGNORECASE)


def login_name() -> str:
    """Who runs this process, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def _duration(value: str) -> str:
    from coopr_core.durations import parse_duration

    try:
        parse_duration(value)
    except InvalidInput as error:
        raise ValueError(error.message) from None
    return value


def absolute_folders(folders: Iterable[str | Path]) -> tuple[Path, ...]:
    """Catalog folders as everybody means them, wherever they are read. Raises ``InvalidInput`` for one without a name.

    One that is named twice counts where it stands last.
    """
    given = [str(folder) for folder in folders]
    if not all(given):
        raise InvalidInput("a catalog folder has no name", hint="is a shell variable not set? '.' is this folder")
    found = [Path(folder).expanduser().absolute() for folder in given]
    return tuple(reversed(dict.fromkeys(reversed(found))))


def _folder(value: object) -> object:
    return Path(value).expanduser().absolute() if isinstance(value, str | Path) and str(value) else value


def _map(value: object) -> object:
    """Read a map that a variable has as JSON."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"must be a map written as JSON: {error}") from None


def _folders(value: object) -> object:
    if isinstance(value, str):
        value = [part for part in value.split(os.pathsep) if part]
    return tuple(_folder(part) for part in value) if isinstance(value, list | tuple) else value


class Settings(BaseModel):
    """Every setting, checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    state_dir: Annotated[Path, BeforeValidator(_folder)] = Field(
        default_factory=default_state_dir, description="The folder for the database, logs, keys and local nodes."
    )
    database_url: str = Field(
        default="", repr=False, description="Where the records are: sqlite:///PATH or postgresql://USER@HOST/NAME."
    )
    catalog: Annotated[tuple[Path, ...], BeforeValidator(_folders)] = Field(
        default=(), description="Catalog folders laid over the builtin one, later ones first in rank."
    )
    max_concurrency: Concurrency = Field(default=32, description="How many tasks of a job may run at once.")
    attempts: int = Field(default=3, ge=1, le=100, description="How often a task is tried.")
    schedule: Literal["stages", "dataflow"] = Field(
        default="stages", description="Start a task when the stage before is done, or when what it needs is done."
    )
    tenant: str = Field(default="default", min_length=1, description="Whose clusters are worked on.")
    lease_warning: Annotated[str, AfterValidator(_duration)] = Field(
        default="1d", description="How long before the end of a cluster's lease to warn; 0s is not at all."
    )
    automators: Annotated[dict[str, dict[str, Any]], BeforeValidator(_map)] = Field(
        default_factory=dict,
        repr=False,
        description="What automators are to know, by their names; 'credentials: SLUG/NAME' is a block with more of it.",
    )
    owner: str = Field(default_factory=login_name, min_length=1, description="Who is recorded as a cluster's owner.")

    @model_validator(mode="after")
    def _database_in_state_dir(self) -> Settings:
        if not self.database_url:
            object.__setattr__(self, "database_url", f"sqlite:///{self.state_dir / 'coopr.db'}")
        return self

    @property
    def shown_database_url(self) -> str:
        """The database URL without its password."""
        return without_password(self.database_url)

    def catalog_with(self, *more: str | Path) -> tuple[Path, ...]:
        """Return the catalog folders that a command or a flow means: this setting's, and ``more`` laid over them."""
        return absolute_folders([*self.catalog, *more])

    def to_json(self) -> dict[str, Any]:
        """Return the settings as they may be shown."""
        automators = {name: dict.fromkeys(given, "***") for name, given in self.automators.items()}
        shown = {"database_url": self.shown_database_url, "automators": automators}
        return {**self.model_dump(mode="json", exclude=set(shown)), **shown}


@dataclass(frozen=True, slots=True)
class _Given:
    """A value and the place it came from."""

    value: Any
    place: str
    line: int = 0


def load_settings(**flags: object) -> Settings:
    """Return the settings, with ``flags`` (None: not given) above everything else.

    Raises ``InvalidInput`` with every problem found, each with its file and line or its variable.
    """
    problems: list[Problem] = []
    given: dict[str, _Given] = {}
    for layer in (
        _from_file(user_settings_file(), problems),
        _from_file(Path(FILE_NAME), problems),
        _from_environment(os.environ),
        {name: _Given(value, f"--{name.replace('_', '-')}") for name, value in flags.items() if value is not None},
    ):
        given.update(layer)
    for name in sorted(given.keys() - Settings.model_fields.keys()):
        known = f"known are {', '.join(Settings.model_fields)}"
        meant = did_you_mean(name, Settings.model_fields)
        problems.append(Problem(f"unknown setting; {meant or known}", given[name].place, name, given[name].line))
        del given[name]
    settings: Settings | None = None
    try:
        settings = Settings.model_validate({name: item.value for name, item in given.items()})
    except ValidationError as error:
        for detail in error.errors(include_input=False, include_url=False):
            name = str(detail["loc"][0]) if detail["loc"] else ""
            origin = given.get(name, _Given(None, ""))
            problems.append(Problem(detail["msg"], origin.place, name, origin.line))
    if settings is None or problems:
        count = "1 setting" if len(problems) == 1 else f"{len(problems)} settings"
        raise InvalidInput(f"{count} cannot be used", hint="Correct them at the place named.", problems=problems)
    return settings


def _from_environment(environment: Mapping[str, str]) -> dict[str, _Given]:
    found = {}
    for name in Settings.model_fields:
        variable = f"COOPR_{name.upper()}"
        if environment.get(variable):
            found[name] = _Given(environment[variable], variable)
    return found


def _from_file(path: Path, problems: list[Problem]) -> dict[str, _Given]:
    """Return the settings of one file; relative folders in it are meant from where the file is."""
    from coopr_core.documents.document import parse_yaml

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        problems.append(Problem(f"cannot be read: {reason}", str(path)))
        return {}
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        problems.append(Problem("is nested too deeply", str(path)))
        return {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        problems.append(Problem(f"is not valid YAML: {error.problem or error.context}", str(path), line=line))
        return {}
    except yaml.YAMLError:
        problems.append(Problem("is not valid YAML: it has characters YAML forbids", str(path)))
        return {}
    if tree is None:
        return {}
    if not isinstance(tree, yaml.MappingNode):
        problems.append(Problem("must be a mapping of settings to values", str(path), line=1))
        return {}
    try:
        values = parse_yaml(text, str(path))
    except InvalidInput as error:
        problems += error.problems
        return {}
    lines = {key.value: key.start_mark.line + 1 for key, _ in tree.value}
    return {
        str(name): _Given(_from_here(str(name), value, path), str(path), lines.get(str(name), 0))
        for name, value in values.items()
        if value is not None
    }


def _from_here(name: str, value: Any, path: Path) -> Any:
    folder = path.absolute().parent
    if name == "state_dir" and isinstance(value, str):
        return folder / Path(value).expanduser()
    if name == "catalog" and isinstance(value, str | list):
        parts = [value] if isinstance(value, str) else value
        return [folder / Path(part).expanduser() if isinstance(part, str) else part for part in parts]
    return value
