"""The callback block, against a real HTTP server."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterator
from typing import Any

import pytest
from http_receiver import Receiver, receiving
from prefect_server import api
from pydantic import ValidationError

from flows.server import ServerInfo

EVENT = "coopr.cluster.failed"
PAYLOAD = {"version": 1, "event": EVENT, "cluster": {"name": "zürich"}}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


@pytest.fixture(autouse=True)
def short_pauses(prefect_server: ServerInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    from blocks import http_callback

    monkeypatch.setattr(http_callback, "FIRST_PAUSE_SECONDS", 0.05)


def callback(receiver: Receiver, **values: Any) -> Any:
    from blocks import HttpCallback

    return HttpCallback(url=receiver.url, **values)


def test_a_message_is_json_and_signed_with_the_secret(receiver: Receiver) -> None:
    assert callback(receiver, secret="quite-unguessable").send(EVENT, PAYLOAD) == 1
    (message,) = receiver.messages
    assert (message.path, message.json) == ("/hook/t0ken", PAYLOAD)
    expected = hmac.new(b"quite-unguessable", message.body, hashlib.sha256).hexdigest()
    assert message.headers["X-Coopr-Signature"] == f"sha256={expected}"
    assert message.headers["X-Coopr-Event"] == EVENT
    assert message.headers["Content-Type"] == "application/json"


def test_without_a_secret_a_message_is_not_signed(receiver: Receiver) -> None:
    callback(receiver).send(EVENT, PAYLOAD)
    assert "X-Coopr-Signature" not in receiver.messages[0].headers


@pytest.mark.parametrize("trouble", [500, 503, 429, 0])
def test_a_receiver_in_trouble_is_tried_again_with_the_same_delivery_id(receiver: Receiver, trouble: int) -> None:
    receiver.answers = [trouble, trouble]
    assert callback(receiver).send(EVENT, PAYLOAD) == 3
    assert len({message.headers["X-Coopr-Delivery"] for message in receiver.messages}) == 1
    assert len({message.body for message in receiver.messages}) == 1


def test_a_receiver_that_refuses_is_not_tried_again_and_its_path_is_not_told(receiver: Receiver) -> None:
    from blocks.http_callback import CallbackFailed

    receiver.answers = [403]
    with pytest.raises(CallbackFailed, match="in 1 attempt: it answered 403") as caught:
        callback(receiver).send(EVENT, PAYLOAD)
    assert len(receiver.messages) == 1
    assert "t0ken" not in str(caught.value) + caught.value.hint


def test_a_redirection_is_not_followed(receiver: Receiver) -> None:
    from blocks.http_callback import CallbackFailed

    receiver.answers = [302]
    with pytest.raises(CallbackFailed, match="it answered 302"):
        callback(receiver).send(EVENT, PAYLOAD)


def test_a_receiver_that_never_answers_costs_the_timeout_each_time(receiver: Receiver) -> None:
    from blocks.http_callback import CallbackFailed

    receiver.answers = [-1, -1]
    begun = time.monotonic()
    with pytest.raises(CallbackFailed, match="in 2 attempts: ReadTimeout"):
        callback(receiver, timeout=0.3, attempts=2).send(EVENT, PAYLOAD)
    assert 0.6 <= time.monotonic() - begun < 30, "each would wait for half a minute"


def test_a_receiver_that_is_not_there_is_an_error_that_names_it() -> None:
    from blocks import HttpCallback
    from blocks.http_callback import CallbackFailed

    with pytest.raises(CallbackFailed, match=r"to http://127\.0\.0\.1:9 in 2 attempts: ConnectError"):
        HttpCallback(url="http://127.0.0.1:9/t0ken", attempts=2).send(EVENT, PAYLOAD)


def test_it_is_told_only_of_what_it_asked_for(receiver: Receiver) -> None:
    asked = callback(receiver, events=["failed"], tenants=["lab"])
    assert asked.wants("coopr.cluster.failed", "lab")
    assert not asked.wants("coopr.cluster.started", "lab")
    assert not asked.wants("coopr.cluster.failed", "default")
    assert callback(receiver).wants("coopr.cluster.lease-expiring", "anybody")
    assert not callback(receiver, enabled=False).wants("coopr.cluster.failed", "lab")


@pytest.mark.parametrize("url", ["ftp://example.org/", "example.org", "https://", "/hook"])
def test_only_a_web_address_will_do(url: str) -> None:
    from blocks import HttpCallback

    with pytest.raises(ValidationError, match="http or https address"):
        HttpCallback(url=url)


def test_a_saved_callback_comes_back_and_its_secret_is_hidden_from_the_api(
    prefect_server: ServerInfo, receiver: Receiver
) -> None:
    from flows.announcing import saved_callbacks

    callback(receiver, secret="quite-unguessable", events=["failed"]).save("hidden", overwrite=True)
    try:
        (found,) = [each for each in saved_callbacks() if each._block_document_name == "hidden"]
        assert found.secret.get_secret_value() == "quite-unguessable"
        assert found.events == ["failed"]
        document = api(prefect_server, "/block_types/slug/coopr-http-callback/block_documents/name/hidden")
        assert "quite-unguessable" not in str(document)
        assert "quite-unguessable" not in repr(found)
    finally:
        found.delete("hidden")
