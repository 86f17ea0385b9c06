"""What is on this machine is reached without a proxy, whatever the variables say that are meant for the outside."""

from __future__ import annotations

import os
import urllib.request

import httpx
import pytest
from websockets.proxy import get_proxy
from websockets.uri import parse_uri

from coopr_core.providers.local.environment import handed_through
from coopr_core.proxies import direct, go_direct, is_loopback, restored, set_aside_unusable, unusable

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment without any proxy, for this test alone."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    monkeypatch.setattr(os, "environ", kept)
    return kept


@pytest.mark.parametrize(
    ("host", "here"),
    [
        *(("127.0.0.1", True), ("127.8.9.10", True), ("localhost", True), ("LocalHost.", True), ("a.localhost", True)),
        *(("::1", True), ("[::1]", True), ("10.0.0.1", False), ("example.org", False), ("localhost.org", False)),
        ("", False),
    ],
)
def test_this_machine_is_known_by_its_names(host: str, here: bool) -> None:
    assert is_loopback(host) is here


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "[::1]"])
def test_no_client_library_asks_a_proxy_for_this_machine_and_all_do_for_others(
    environment: dict[str, str], name: str, address: str
) -> None:
    environment[name] = NOBODY
    environment["no_proxy"], environment["NO_PROXY"] = "inside.example", "10.0.0.7 10.0.0.8"
    go_direct()
    assert urllib.request.proxy_bypass(f"{address.strip('[]')}:4200")
    assert get_proxy(parse_uri(f"ws://{address}:4200/api")) is None
    with httpx.Client() as client:
        assert client._transport_for_url(httpx.URL(f"http://{address}:4200/api")) is client._transport
        for kept in ("inside.example", "10.0.0.7", "10.0.0.8"):
            assert client._transport_for_url(httpx.URL(f"http://{kept}/")) is client._transport
        outside = httpx.URL(f"{'https' if 'https' in name.lower() else 'http'}://example.org")
        assert client._transport_for_url(outside) is not client._transport


def test_without_a_proxy_nothing_is_changed(environment: dict[str, str]) -> None:
    before = dict(environment)
    go_direct("127.0.0.2")
    set_aside_unusable()
    assert environment == before
    assert direct(environment) == {}


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("ALL_PROXY", "socks://u:s3cret@127.0.0.1:1080", "the scheme socks://"),
        ("all_proxy", "socks4://127.0.0.1:1080", "the scheme socks4://"),
        ("http_proxy", "http://127.0.0.1:port", "it is no URL"),
        ("NO_PROXY", "a.example,[::1]", "brackets"),
        ("no_proxy", "fd00::/8", "networks"),
    ],
)
def test_what_httpx_cannot_use_is_named_set_aside_and_given_back_to_the_nodes(
    environment: dict[str, str], name: str, value: str, reason: str
) -> None:
    environment[name] = value
    with pytest.raises((ValueError, httpx.InvalidURL)):
        httpx.Client()
    assert reason in unusable(environment)[name]
    assert "s3cret" not in str(unusable(environment))
    go_direct()
    set_aside_unusable()
    httpx.Client().close()
    assert restored(environment)[name].startswith(value)
    assert handed_through(environment)[name].startswith(value)
    assert not [each for each in handed_through(environment) if each.startswith("COOPR_")]


def test_a_socks_proxy_is_used_where_its_package_is_and_set_aside_where_not(environment: dict[str, str]) -> None:
    environment["ALL_PROXY"] = "socks5h://127.0.0.1:1080"
    try:
        httpx.Client().close()
    except ImportError:
        assert "pip install" in unusable(environment)["ALL_PROXY"]
    else:
        assert not unusable(environment)
    set_aside_unusable()
    httpx.Client().close()
    assert restored(environment)["ALL_PROXY"] == "socks5h://127.0.0.1:1080"
