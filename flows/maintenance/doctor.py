"""Whether the Prefect server can be used, and the way to it: the part of ``coopr doctor`` that the core cannot know."""

from __future__ import annotations

import os
from collections.abc import Iterator

from coopr_core.maintenance.doctor import Check, Verdict
from coopr_core.proxies import proxy_variables, restored, unusable
from coopr_core.settings import Settings
from flows.server import server_status, way_to_server


def check_proxies(settings: Settings) -> Iterator[Verdict]:
    """Tell whether the proxy variables, which are meant for the outside, leave the way to the Prefect server open."""
    name = "proxies"
    given = restored(os.environ)
    variables, bad = proxy_variables(given), unusable(given)
    if not variables and not bad:
        yield Verdict(name, "ok", "no proxy is set")
        return
    host, is_direct = way_to_server()
    for variable, reason in bad.items():
        if is_direct:
            text = f"{variable} cannot be used by coopr, which goes without; nodes get it as it is: {reason}"
            yield Verdict(name, "note", text)
        else:
            hint = f"correct or unset {variable}, or put {host} into NO_PROXY"
            yield Verdict(name, "wrong", f"{variable} keeps the Prefect server from being asked: {reason}", hint)
    if not bad:
        way = "past the proxy" if is_direct else "through the proxy"
        yield Verdict(name, "ok", f"{', '.join(variables)} set; the Prefect server ({host}) is asked {way}")


def check_server(settings: Settings) -> Iterator[Verdict]:
    """Tell whether the Prefect server that would be used answers."""
    name = "Prefect server"
    server = server_status(settings.state_dir)
    if server.running:
        whose = "ours" if server.managed else "not started by coopr"
        yield Verdict(name, "ok", f"{server.ui_url} answers ({whose})")
    elif not server.managed:
        hint = "start that server, or unset PREFECT_API_URL so that coopr starts one of its own"
        host, is_direct = way_to_server()
        if not is_direct:
            hint += f"; it was asked through a proxy ({', '.join(proxy_variables(os.environ))}): "
            hint += f"is {host} missing in NO_PROXY?"
        yield Verdict(name, "wrong", f"{server.api_url} does not answer", hint)
    elif server.pid:
        hint = "`coopr server stop`, then try again"
        yield Verdict(name, "wrong", f"the server coopr started (pid {server.pid}) does not answer", hint)
    else:
        yield Verdict(name, "ok", "none runs; it is started when it is first needed")


SERVER_CHECKS: tuple[Check, ...] = (("proxies", check_proxies), ("Prefect server", check_server))
"""What to look at, in this order."""
