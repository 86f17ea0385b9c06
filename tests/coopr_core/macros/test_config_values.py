"""`%config.KEY%`: a plain value of the cluster's config, mostly for links."""

from __future__ import annotations

import pytest

from coopr_core.macros import MacroContext, MacroNode, UnresolvedMacro, check_macros, expand

CONFIG = {"web": {"port": 8080, "tls": True, "host": "%host.self%", "a.b": "dotted"}}
CONTEXT = MacroContext(owner="me", nodes=[MacroNode(1000, "n1", ("web",), {"bind_v4": "127.0.0.1"})], config=CONFIG)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://%ip.service.web%:%config.web.port%/", "http://127.0.0.1:8080/"),
        ("%config.web.tls%", "true"),
        ("%config.web.a.b%", "dotted"),
    ],
)
def test_a_plain_value_of_the_config_is_put_in(text: str, expected: str) -> None:
    assert expand(text, CONTEXT) == expected
    assert check_macros(text, ["web"], config=CONFIG) == []


@pytest.mark.parametrize("key", ["web", "web.nothing", "web.port.more", "web.host", "nothing"])
def test_what_is_no_plain_value_is_named_before_and_while_running(key: str) -> None:
    text = f"x %config.{key}% y"
    with pytest.raises(UnresolvedMacro, match=key):
        expand(text, CONTEXT)
    assert key in check_macros(text, ["web"], config=CONFIG)[0].message
