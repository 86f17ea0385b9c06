"""Whatever a user mistypes, the error says what may have been meant."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from command_line import Coopr
from store_samples import begin

from coopr_core.store import Store


@pytest.fixture(autouse=True, scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A record of the module's own, with a cluster ``demo`` that has the services ``web`` and ``db``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COOPR_DATABASE_URL", f"sqlite:///{tmp_path_factory.mktemp('records') / 'coopr.db'}")
        with Store.open() as store:
            job = store.job(f"{begin(store).id}-001")
            store.finish_job(job.id, "SUCCEEDED")
        yield


@pytest.mark.parametrize(
    ("line", "code", "meant"),
    [
        ("show DEMO", 8, 'did you mean "demo"?'),
        ("show dmeo", 8, 'did you mean "demo"?'),
        ("restart webb", 8, 'did you mean service "web" of cluster demo?'),
        ("restart demo webb", 3, 'did you mean "web"?'),
        ("restart demo webb --rolling", 3, 'did you mean "web"?'),
        ("scale demo wbe=3 -y", 8, 'did you mean "web"?'),
        ("exec demo --service wbe -- true", 8, 'did you mean "web"?'),
        ("exec demo --node demo1-100 -- true", 8, '"demo1-1000"'),
        ("logs 00000001-001-099", 8, "tasks 001 to 004"),
        ("logs 00000001-001", 8, "coopr tasks 00000001 --job 00000001-001"),
        ("create x --template natz -y", 8, 'did you mean "nats"?'),
        ("create nats -y", 3, "did you mean --template nats?"),
        ("create NATS -y", 3, "did you mean --template nats?"),
        ("plan webap", 3, "did you mean --template webapp"),
        ("create x -t nats --provider loca -y", 8, 'did you mean "local"?'),
        ("create x -t nats --provider aws -y", 8, "there is: local"),
        ("create x -t nats --services nats -y", 3, 'did you mean "nats-server"?'),
        ("create x -t nats --hardware-type small -y", 8, 'did you mean "local-small"?'),
        ("create x -t nats --image-type local-pyton -y", 8, 'did you mean "local-python"?'),
        ("create x -t nats --optimize cots -y", 3, "did you mean cost?"),
        ("crate", 3, "did you mean create?"),
        ("DELETE demo", 3, "did you mean delete?"),
        ("catalog lst", 3, "did you mean list?"),
        ("server stat", 3, "did you mean start or status?"),
        ("catalog list tempalte", 3, "did you mean template"),
        ("catalog show nats-srver", 8, 'did you mean "nats-server"?'),
        ("catalog show Webapp --kind template", 8, 'did you mean "webapp"?'),
        ("list -o jsn", 3, "did you mean json?"),
        ("plan -t nats -o jsn", 3, "did you mean json?"),
        ("list --delted", 3, "did you mean --deleted?"),
    ],
)
def test_the_near_name_is_offered(coopr: Coopr, line: str, code: int, meant: str) -> None:
    outcome = coopr(*line.split())
    assert (outcome.code, meant in outcome.err) == (code, True), outcome.err


def test_an_unknown_setting_is_told_with_the_near_one(coopr: Coopr, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("settings")
    (folder / "coopr.yaml").write_text("tennant: lab\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        outcome = coopr("list")
    assert (outcome.code, 'did you mean "tenant"?' in outcome.err) == (3, True), outcome.err


@pytest.mark.parametrize(
    "words",
    [
        ("create", "", "--template", "nats", "-y"),
        ("plan", "", "--template", "nats"),
        ("create", "x", "--template", "nats", "--provider", "", "-y"),
        ("plan", "--template", ""),
        ("plan", "--template", "nats", "--services", ""),
        ("status", ""),
        ("delete", "demo", "", "-y"),
        ("ssh", "demo", ""),
        ("extend", "demo", ""),
        ("tasks", "demo", "--job", ""),
        ("quota", ""),
        ("--tenant", "", "list"),
        ("restart", "demo", ""),
    ],
)
def test_an_empty_word_is_refused_and_nothing_is_put_in_its_place(coopr: Coopr, words: tuple[str, ...]) -> None:
    outcome = coopr(*words)
    assert (outcome.code, "it is empty" in outcome.err) == (3, True), outcome.err
    assert [cluster["name"] for cluster in coopr("list", "--json").json] == ["demo"]


def test_an_empty_name_in_a_file_is_refused(coopr: Coopr, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("request") / "request.yaml"
    for text in ("name: ''\ntemplate: nats\n", "name:\ntemplate: nats\n"):
        file.write_text(text)
        outcome = coopr("create", "--from", str(file), "-y")
        assert (outcome.code, "name" in outcome.err, "empty" in outcome.err) == (3, True, True), outcome.err
    assert [cluster["name"] for cluster in coopr("list", "--json").json] == ["demo"]
