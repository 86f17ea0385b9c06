"""What all tests share: nothing of the user's own state is touched, and the gate does not accept missing parts."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import examples  # noqa: F401  # loads hypothesis' profile before any property is declared
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

PARTS_REQUIRED = os.environ.get("COOPR_REQUIRE_PARTS") == "1"
ONLY_HERE = ("needs root", "needs an ordinary user", "only on macOS")
"""Skips the gate accepts: they depend on who runs the tests, and the gate runs them as both."""


LONGEST = ("test_changing_clusters.py", "test_crash_safety.py", "test_builtin_services.py", "test_create_delete.py")
"""Files whose tests take longest: they begin first, so that none of them is what everybody waits for at the end."""

SPREAD = ("tests/e2e/", "tests/coopr_core/catalog/test_builtin_services.py", "tests/flows/test_crash_safety.py")
"""Where tests share nothing dear with their neighbours in the file, so that they may run in other processes."""


class ByFile(LoadScopeScheduling):
    """Hands the tests of a file, which share servers and nodes, to one process, unless they are to be spread."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(SPREAD) else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """The scheduler of pytest-xdist that shares out the tests."""
    return ByFile(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes ``-n auto`` is: two a core, since tests mostly wait; none for tests that are named."""
    named = any("::" in argument or argument.endswith(".py") for argument in config.args)
    return 0 if named else min(8, 2 * (os.cpu_count() or 1))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(autouse=True, scope="session")
def signals_as_in_a_terminal() -> None:
    """A shell's background job ignores Ctrl-C, nohup's a hangup, and so would all that these tests start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True, scope="session")
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A state folder of the test run's own, and no setting of the user's.

    Not below pytest's folder, which only its owner may enter: as root, the nodes' commands run as another user.
    """
    state = Path(tempfile.mkdtemp(prefix="coopr-test-"))
    state.chmod(0o711)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("COOPR_") and name not in _KEPT]:
            patch.delenv(name)
        for name in ("PREFECT_API_URL", "PREFECT_PROFILE", "COLUMNS"):  # xdist's processes are told 80 columns
            patch.delenv(name, raising=False)
        patch.setenv("COOPR_STATE_DIR", str(state))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield
        if (state / "local").exists():
            _end_what_failed_tests_left_running()
    shutil.rmtree(state, ignore_errors=True)


def _end_what_failed_tests_left_running() -> None:
    from coopr_core.providers.local import LocalProvider
    from coopr_core.providers.scope import Scope

    provider = LocalProvider()
    for machine in provider.find_machines(Scope()):
        provider.delete_machine(machine)


_KEPT = ("COOPR_SHARED", "COOPR_REQUIRE_PARTS")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With COOPR_REQUIRE_PARTS=1 a test skipped for want of a part fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not PARTS_REQUIRED or reporter is None:
        return
    missing = []
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(accepted in reason for accepted in ONLY_HERE):
            missing.append(f"{report.nodeid}: {reason}")
    if missing:
        reporter.write_line("\nSkipped for want of a part that must be there:", red=True)
        for line in missing:
            reporter.write_line(f"  {line}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder that nodes may look into."""
    with tempfile.TemporaryDirectory(prefix="coopr-readable-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
