"""Asking before something costs or destroys: never hangs where nobody can answer."""

from __future__ import annotations

import sys

import click

from coopr_core.errors import Refused


def confirm(question: str, *, yes: bool) -> None:
    """Ask on the terminal; ``yes`` answers already. Raises ``Refused`` on "no" and where nobody can be asked."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused(f"{question} Nobody is there to answer.", hint="add -y to go ahead without asking")
    if not click.confirm(question, err=True):
        raise Refused("nothing was done")
