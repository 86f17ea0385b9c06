from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coopr_core.errors import InvalidInput
from coopr_core.settings import Settings, default_state_dir, load_settings, user_settings_file, without_password

pytestmark = pytest.mark.both


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, no settings in the environment, a user's settings file that is not there."""
    for name in [name for name in os.environ if name.startswith("COOPR_")]:
        monkeypatch.delenv(name)
    (tmp_path / "work").mkdir()
    (tmp_path / "user").mkdir()
    monkeypatch.setenv("COOPR_CONFIG", str(tmp_path / "user" / "coopr.yaml"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def _problems(**flags: object) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        load_settings(**flags)
    assert caught.value.hint
    return [str(problem) for problem in caught.value.problems]


def test_without_anything_given_there_are_defaults() -> None:
    settings = load_settings()
    assert settings.state_dir == default_state_dir()
    assert settings.database_url == f"sqlite:///{settings.state_dir}/coopr.db"
    assert (settings.catalog, settings.max_concurrency, settings.attempts) == ((), 32, 3)
    assert (settings.schedule, settings.tenant) == ("stages", "default")
    assert settings.owner


def test_the_state_is_kept_where_the_platform_keeps_it() -> None:
    if sys.platform == "linux":
        home = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "coopr"
        assert default_state_dir() == (Path("/var/lib/coopr") if os.getuid() == 0 else home)
    assert default_state_dir().name == "coopr"


def test_a_flag_beats_the_environment_beats_the_project_beats_the_user(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings().tenant == "default"
    (places / "user" / "coopr.yaml").write_text("tenant: user\nattempts: 7\n")
    assert load_settings().tenant == "user"
    (places / "work" / "coopr.yaml").write_text("tenant: project\n")
    assert load_settings().tenant == "project"
    monkeypatch.setenv("COOPR_TENANT", "environment")
    assert load_settings().tenant == "environment"
    assert load_settings(tenant="flag").tenant == "flag"
    assert load_settings(tenant=None).tenant == "environment"
    assert load_settings().attempts == 7


def test_every_setting_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, places: Path) -> None:
    values = {
        "COOPR_STATE_DIR": str(places / "s"),
        "COOPR_DATABASE_URL": "postgresql://db/x",
        "COOPR_CATALOG": f"{places / 'a'}{os.pathsep}b",
        "COOPR_MAX_CONCURRENCY": "8",
        "COOPR_ATTEMPTS": "1",
        "COOPR_SCHEDULE": "dataflow",
        "COOPR_TENANT": "lab",
        "COOPR_LEASE_WARNING": "2h",
        "COOPR_AUTOMATORS": '{"shell": {"token": "x"}}',
        "COOPR_OWNER": "ada",
    }
    assert {name.removeprefix("COOPR_").lower() for name in values} == set(Settings.model_fields)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COOPR_TASK_ID", "is none of ours")
    settings = load_settings()
    assert settings.state_dir == places / "s"
    assert settings.catalog == (places / "a", places / "work" / "b")
    assert settings.database_url == "postgresql://db/x"
    assert (settings.max_concurrency, settings.attempts, settings.schedule) == (8, 1, "dataflow")
    assert (settings.tenant, settings.owner, settings.lease_warning) == ("lab", "ada", "2h")
    assert settings.automators == {"shell": {"token": "x"}}


def test_the_database_follows_the_state_folder(places: Path) -> None:
    assert load_settings(state_dir=places / "there").database_url == f"sqlite:///{places}/there/coopr.db"


def test_folders_in_a_file_are_meant_from_where_the_file_is(places: Path) -> None:
    (places / "user" / "coopr.yaml").write_text("state_dir: state\ncatalog: [mine, ~/theirs, /abs]\n")
    settings = load_settings()
    assert settings.state_dir == places / "user" / "state"
    assert settings.catalog == (places / "user" / "mine", Path("~/theirs").expanduser(), Path("/abs"))
    assert load_settings(state_dir="here").state_dir == places / "work" / "here"


def test_an_empty_file_and_empty_values_are_no_settings(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (places / "work" / "coopr.yaml").write_text("# nothing yet\n")
    assert load_settings().tenant == "default"
    (places / "work" / "coopr.yaml").write_text("tenant:\n")
    monkeypatch.setenv("COOPR_TENANT", "")
    assert load_settings().tenant == "default"


def test_a_broken_file_is_told_with_file_and_line(places: Path) -> None:
    file = places / "work" / "coopr.yaml"
    file.write_text("tenant: lab\ncatalog: [a\nowner: ada\n")
    assert len(problems := _problems()) == 1
    assert problems[0].startswith(f"{Path('coopr.yaml')}:3: is not valid YAML: ")
    for text in ("- a\n- b\n", "just text\n"):
        file.write_text(text)
        assert _problems() == ["coopr.yaml:1: must be a mapping of settings to values"]
    file.write_bytes(b"tenant: \xff\xfe\n")
    assert _problems() == ["coopr.yaml: cannot be read: is not UTF-8 text"]
    file.write_bytes(b"tenant: a\x01b\n")
    assert _problems() == ["coopr.yaml: is not valid YAML: it has characters YAML forbids"]
    file.unlink()
    file.mkdir()
    assert _problems() == ["coopr.yaml: cannot be read: Is a directory"]


def test_a_settings_file_is_read_like_every_other_yaml_file(places: Path) -> None:
    file = places / "work" / "coopr.yaml"
    file.write_text("tenant: no\nowner: 12:30\nattempts: 5\n")
    settings = load_settings()
    assert (settings.tenant, settings.owner, settings.attempts) == ("no", "12:30", 5)
    for text, problem in (
        ("attempts: 010\n", "coopr.yaml:1: attempts: 010 may be text or an octal number"),
        ("tenant: a\ntenant: b\n", 'coopr.yaml:2: tenant: the key "tenant" is given twice'),
        ("tenant: &a [*a]\n", "coopr.yaml:1: tenant[0]: an alias stands inside the value it names"),
        ("tenant: " + "[" * 600 + "]" * 600 + "\n", "coopr.yaml: is nested too deeply"),
    ):
        file.write_text(text)
        assert _problems()[0].startswith(problem)


def test_everything_wrong_is_told_at_once_with_its_place(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (places / "user" / "coopr.yaml").write_text("tenant: lab\nattempts: many\n")
    (places / "work" / "coopr.yaml").write_text("\ncolour: blue\nschedule: random\n")
    monkeypatch.setenv("COOPR_MAX_CONCURRENCY", "0")
    problems = _problems(tenant=[1])
    assert len(problems) == 5
    starts = [
        "coopr.yaml:2: colour: unknown setting",
        "--tenant: tenant: ",
        "COOPR_MAX_CONCURRENCY: max_concurrency: ",
        f"{places}/user/coopr.yaml:2: attempts: ",
        "coopr.yaml:3: schedule: ",
    ]
    for start in starts:
        assert any(problem.startswith(start) for problem in problems), (start, problems)


def test_a_password_is_never_shown() -> None:
    settings = load_settings(database_url="postgresql://ada:hunter2@db/coopr")
    assert settings.database_url == "postgresql://ada:hunter2@db/coopr"
    assert "hunter2" not in f"{settings!r} {settings} {settings.to_json()} {settings.shown_database_url}"
    assert settings.to_json()["database_url"] == "postgresql://ada:***@db/coopr"
    with pytest.raises(InvalidInput) as caught:
        load_settings(database_url=["postgresql://ada:hunter2@db/coopr"])
    assert "hunter2" not in f"{caught.value} {caught.value.to_json()}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ada:hunter2@db:5432/coopr", "postgresql://ada:***@db:5432/coopr"),
        ("postgres://ada:h@unter:2@db/coopr", "postgres://ada:***@db/coopr"),
        (
            "postgresql://ada@db/coopr?password=hunter2&sslmode=require",
            "postgresql://ada@db/coopr?password=***&sslmode=require",
        ),
        ("ada:hunter2@db", "ada:***@db"),
        ("postgresql://ada@db:5432/coopr", "postgresql://ada@db:5432/coopr"),
        ("sqlite:////var/lib/coopr/coopr.db", "sqlite:////var/lib/coopr/coopr.db"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_the_users_file_is_where_the_platform_keeps_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COOPR_CONFIG")
    assert user_settings_file().name == "coopr.yaml"
    assert user_settings_file().parent.name == "coopr"


def test_reading_settings_imports_nothing_heavy() -> None:
    code = (
        "import sys; from coopr_core.settings import load_settings; load_settings();"
        "print([m for m in ('sqlalchemy', 'pydantic_settings', 'prefect', 'networkx', 'fabric') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
