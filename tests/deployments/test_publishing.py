"""Publishing from several places in the same moment."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from flows.server import ServerInfo


def test_two_who_publish_at_once_make_one_work_pool(
    prefect_server: ServerInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.client.orchestration import SyncPrefectClient

    from deployments.publish import publish

    read = SyncPrefectClient.read_work_pool
    met = threading.Barrier(2)
    looking = threading.local()

    def together(client: SyncPrefectClient, name: str) -> Any:
        try:
            return read(client, name)
        finally:
            if not hasattr(looking, "has_looked"):
                looking.has_looked = True
                met.wait(60)

    monkeypatch.setattr(SyncPrefectClient, "read_work_pool", together)
    with ThreadPoolExecutor(2) as both:
        first, second = both.map(publish, ["wanted-by-two"] * 2)
    assert first == second
    assert {each["pool"] for each in first} == {"wanted-by-two"}


def test_a_block_type_that_another_registers_in_the_same_moment_is_registered(
    prefect_server: ServerInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.blocks.core import Block
    from prefect.exceptions import ObjectAlreadyExists

    from blocks import HttpCallback
    from deployments.publish import publish

    register = Block.register_type_and_schema.__func__
    calls: list[str] = []

    def other_is_first(block: type[Block], **given: Any) -> Any:
        calls.append(block.__name__)
        done = register(block, **given)
        if calls.count(block.__name__) == 1 and block is HttpCallback:
            request = httpx.Request("POST", prefect_server.api_url)
            conflict = httpx.HTTPStatusError("", request=request, response=httpx.Response(409, request=request))
            raise ObjectAlreadyExists(http_exc=conflict)
        return done

    monkeypatch.setattr(Block, "register_type_and_schema", classmethod(other_is_first))
    assert publish("blocks-of-two")
    assert calls.count("HttpCallback") == 2
