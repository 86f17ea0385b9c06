"""Proxy variables are meant for the outside: what is on this machine is reached without them.

``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and their kin, in capitals or not, are read by every client library in
its own way, and some go through a proxy even to 127.0.0.1. ``NO_PROXY`` is the one thing they all heed. A proxy that
httpx, with which Prefect talks, cannot use at all (SOCKS without its package, say) would keep it from talking to
anybody: its variable is set aside in this process, and given back to the nodes, whose programs may know how to use it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from ipaddress import IPv6Network, ip_address
from urllib.parse import urlsplit

LOOPBACK = ("localhost", "127.0.0.1", "::1", "127.0.0.0/8")
"""What ``NO_PROXY`` says of this machine; the network is for the clients that know networks (curl, requests, Go)."""

_DIRECT = ("NO_PROXY", "no_proxy")
_READ_BY_HTTPX = ("http_proxy", "https_proxy", "all_proxy")
_ASIDE = "COOPR_SET_ASIDE_"


def is_loopback(host: str) -> bool:
    """Whether a host, as it stands in a URL, is this machine itself."""
    name = host.strip("[]").lower().rstrip(".")
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def proxy_variables(environment: Mapping[str, str]) -> list[str]:
    """Return the variables that name a proxy."""
    return sorted(
        name
        for name, value in environment.items()
        if name.lower().endswith("_proxy") and name not in _DIRECT and value and not name.startswith(_ASIDE)
    )


def direct(environment: Mapping[str, str], *hosts: str) -> dict[str, str]:
    """Return ``NO_PROXY`` and ``no_proxy`` with this machine and ``hosts`` added; empty when no proxy is named."""
    if not proxy_variables(environment):
        return {}
    given = [name for variable in _DIRECT for name in re.split(r"[,\s]+", environment.get(variable, "")) if name]
    value = ",".join(dict.fromkeys([*given, *hosts, *LOOPBACK]))
    return dict.fromkeys(_DIRECT, value)


def go_direct(*hosts: str) -> None:
    """Have no client that this process or one it starts makes ask a proxy for this machine, or for ``hosts``.

    Clients that are there already are not changed.
    """
    os.environ.update(direct(os.environ, *hosts))


def unusable(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep httpx from making any client, each with the reason.

    Costs an import if a proxy is set.
    """
    named = [name for name in proxy_variables(environment) if name.lower() in _READ_BY_HTTPX]
    found = {name: reason for name in named if (reason := _reason(environment[name]))}
    lists = [name for name in _DIRECT if any(map(_is_unreadable, environment.get(name, "").split(",")))]
    return {**found, **dict.fromkeys(lists, "httpx reads neither [brackets] nor networks of IPv6 in it")}


def set_aside_unusable() -> None:
    """Let clients be made in spite of what httpx cannot use: take it out of this process's environment."""
    for name in unusable(os.environ):
        value = os.environ[name]
        os.environ.setdefault(f"{_ASIDE}{name}", value)
        if name in _DIRECT:
            os.environ[name] = ",".join(filter(None, map(_readable, value.split(","))))
        else:
            del os.environ[name]


def restored(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with what was set aside back in its place."""
    aside = {name.removeprefix(_ASIDE): value for name, value in environment.items() if name.startswith(_ASIDE)}
    return {**{name: value for name, value in environment.items() if not name.startswith(_ASIDE)}, **aside}


def _reason(value: str) -> str:
    """Why httpx cannot use the proxy; empty when it can. Nothing of the value, which may have a password, is told."""
    import httpx

    url = value if "://" in value else f"http://{value}"
    try:
        httpx.HTTPTransport(verify=False, proxy=url).close()
    except ImportError:
        return "SOCKS needs a package: pip install 'httpx[socks]' python-socks"
    except (ValueError, httpx.InvalidURL):
        scheme = url.partition("://")[0]
        known = scheme in ("http", "https", "socks5", "socks5h")
        return "it is no URL" if known else f"httpx does not know the scheme {scheme}://"
    return ""


def _is_unreadable(entry: str) -> bool:
    return _readable(entry) != entry.strip()


def _readable(entry: str) -> str:
    """Return an entry of ``NO_PROXY`` as httpx can read it, empty when there is no such form."""
    entry = entry.strip()
    name = re.sub(r"^\[(.*)\]$", r"\1", entry)
    try:
        return "" if "/" in name and IPv6Network(name, strict=False) else name
    except ValueError:
        return name


def host_of(url: str) -> str:
    """Return the host of a URL, empty when it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
