"""An operation of another package, installed for a test: one file, and one line among the entry points."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MODULE = "coopr_reload"

CODE = '''
"""Having services read their config again, while they run."""

from pathlib import Path

from coopr_core.model.courses import Action, Course, texts
from coopr_core.model.operations import ON_ACTIVE, Operation, Verb
from coopr_core.operations.change import PreparedChange
from coopr_core.operations.declaration import Declaration, Ending
from coopr_core.operations.services import prepare_services
from coopr_core.store import Store

RELOAD_SERVICES = Operation.declare(
    "RELOAD_SERVICES",
    ON_ACTIVE,
    Verb("reload_services", "reload", "Have services read their config again.", home=__name__),
    Course(texts(Action.BOOTSTRAP, Action.CONFIGURE)),
)


def prepare_reload(
    store: Store, cluster: str, services: list[str] | None = None, pause: int | None = None
) -> PreparedChange:
    """Have services read their config again while they run.

    Args:
        services: The services to reload; all of them when left out.
        pause: How many seconds to
            wait.
    """
    return prepare_services(store, cluster, RELOAD_SERVICES, services)


def leave_a_note(ending: Ending) -> None:
    Path(__file__).with_name("reloaded").write_text(f"{ending.cluster.name} {ending.parameters.options['services']}")


RELOAD = Declaration(
    RELOAD_SERVICES.verb, prepare_reload, question="Reload services of cluster {cluster}", finish=leave_a_note
)
'''


@contextmanager
def installed_reload(folder: Path, code: str = CODE) -> Iterator[Path]:
    """Install the operation ``RELOAD_SERVICES`` as pip would; gives the note that it leaves when it has ended."""
    import flows
    from coopr_core.model.operations import Operation

    folder.mkdir()
    (folder / f"{MODULE}.py").write_text(code)
    about = folder / "coopr_reload-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: coopr-reload\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[coopr.operations]\nRELOAD_SERVICES = {MODULE}:RELOAD\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", str(folder))
        yield folder / "reloaded"
    sys.modules.pop(MODULE, None)
    vars(flows).pop("reload_services", None)
    Operation._value2member_map_.pop("RELOAD_SERVICES", None)
