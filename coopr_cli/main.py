"""The `coopr` command: finds the command, runs it, and turns every failure into one message and its exit code.

Nothing heavy is imported before a command needs it: the list of commands with their short helps is a table here, and
a command's module is imported when the command is called.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import version as distribution_version

import click

from coopr_cli.streams import check_arguments, end_at_once, replace_what_cannot_be_shown, speak_utf8
from coopr_cli.typed import NamingGroup, checked, unknown_option
from coopr_core.errors import CooprError, Interrupted, InvalidInput, unwritable
from coopr_core.model.origin import COMMAND, set_via

SERVER_GONE = "server-gone"
"""The failure after which Prefect's threads would go on asking for minutes, at the end of the process."""

COMMANDS: dict[str, tuple[str, str]] = {
    "plan": ("coopr_cli.plan", "Show the layout and the stages a cluster would get; change nothing."),
    "create": ("coopr_cli.create", "Create a cluster from a template."),
    "apply": ("coopr_cli.create", "Run exactly the plan saved in a file."),
    "start": ("coopr_cli.services", "Start services of a cluster, and first what they need."),
    "stop": ("coopr_cli.services", "Stop services of a cluster, and first what depends on them."),
    "restart": ("coopr_cli.services", "Restart services of a cluster, all at once or rolling."),
    "configure": ("coopr_cli.configure", "Change a cluster's config; show what differs first."),
    "add-services": ("coopr_cli.configure", "Put more services on the nodes of a cluster."),
    "scale": ("coopr_cli.scale", "Give a cluster more or fewer nodes."),
    "replace": ("coopr_cli.scale", "Make nodes of a cluster anew, under the same names."),
    "rebuild": ("coopr_cli.rebuild", "Make a cluster again from its request, then delete the old one."),
    "sync": ("coopr_cli.configure", "Bring a cluster to today's version of its template."),
    "delete": ("coopr_cli.delete", "Delete a cluster and all its machines."),
    "retry": ("coopr_cli.control", "Run what has not succeeded of a cluster's last job."),
    "pause": ("coopr_cli.control", "Pause a cluster's running job: what runs ends, nothing new starts."),
    "resume": ("coopr_cli.control", "Continue a cluster's paused job."),
    "abort": ("coopr_cli.control", "End a cluster's job and the commands it runs."),
    "extend": ("coopr_cli.leases", "Let a cluster live longer."),
    "protect": ("coopr_cli.leases", "Guard a cluster against deletion."),
    "unprotect": ("coopr_cli.leases", "Lift a cluster's protection."),
    "reap-expired": ("coopr_cli.leases", "Delete the clusters whose lease has run out."),
    "list": ("coopr_cli.clusters", "List clusters."),
    "status": ("coopr_cli.clusters", "Show how a cluster and its running job are doing."),
    "show": ("coopr_cli.clusters", "Show everything known about a cluster."),
    "tasks": ("coopr_cli.tasks", "List the tasks of a cluster's job."),
    "logs": ("coopr_cli.tasks", "Print the log of a task, or of all tasks of a cluster."),
    "events": ("coopr_cli.history", "Tell what happened to a cluster, as JSON lines."),
    "usage": ("coopr_cli.accounts", "Show node-hours and cost per tenant."),
    "quota": ("coopr_cli.accounts", "Show and set what a tenant may have."),
    "drift": ("coopr_cli.maintenance.drift", "Look how clusters differ from what is recorded of them; change nothing."),
    "gc": ("coopr_cli.maintenance.gc", "Delete what is left over of clusters that are gone."),
    "ssh": ("coopr_cli.access.login", "Log in to a node."),
    "exec": ("coopr_cli.access.execution", "Run a command on the nodes of a cluster."),
    "scp": ("coopr_cli.access.copying", "Copy files and folders to and from nodes."),
    "ssh-config": ("coopr_cli.access.exports", "Print a cluster's nodes as an ssh_config."),
    "inventory": ("coopr_cli.access.exports", "Print a cluster as an inventory for Ansible."),
    "catalog": ("coopr_cli.catalog", "List, show and check templates, services and the rest of the catalog."),
    "deploy": ("coopr_cli.server", "Publish the flows as Prefect deployments."),
    "server": ("coopr_cli.server", "Start, stop and inspect the Prefect server that coopr uses."),
    "doctor": ("coopr_cli.maintenance.doctor", "Check whether this installation can do its work."),
}

SECTIONS = {
    "Make a cluster": "plan",
    "Change it": "start",
    "Steer its job": "retry",
    "How long it lives": "extend",
    "Look at it": "list",
    "Reach its nodes": "ssh",
    "The installation": "catalog",
}
"""The headings of the help, each with the first command under it."""


LAST_CHANGE = "delete"
"""The command after which those of operations stand that have none written for them."""


@cache
def _command(name: str) -> click.Command:
    """Import the command now."""
    module = importlib.import_module(COMMANDS[name][0])
    return checked(getattr(module, f"{name.replace('-', '_')}_command"))


def _derived(name: str) -> click.Command | None:
    """Make the command of an operation that has none written for it; None when there is no such operation."""
    from coopr_core.operations.registry import verbs

    verb = next((verb for verb in verbs() if verb.command == name), None)
    if verb is None:
        return None
    from coopr_cli.derived import derived_command

    return checked(derived_command(verb))


def known_commands() -> dict[str, str]:
    """Return every command with its short help; those that are derived stand behind the others that change clusters."""
    from coopr_core.operations.registry import verbs

    more: dict[str, str] = {}
    with contextlib.suppress(CooprError):  # the help does not fail over a package that is broken; its command does
        more = {verb.command: verb.summary for verb in verbs() if verb.command not in COMMANDS}
    found: dict[str, str] = {}
    for name, (_, text) in COMMANDS.items():
        found[name] = text
        if name == LAST_CHANGE:
            found |= more
    return found


class LazyCommands(NamingGroup):
    """A group whose commands are imported when called; its help needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of a cluster's life."""
        return list(known_commands())

    def has_command(self, ctx: click.Context, name: str) -> bool:
        """Whether there is a command called ``name``; for one of ours, those of other packages are not looked for."""
        return name in COMMANDS or super().has_command(ctx, name)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command called ``cmd_name``, imported now."""
        return _command(cmd_name) if cmd_name in COMMANDS else _derived(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their short helps, from the table, under the headings of ``SECTIONS``."""
        starts = {name: heading for heading, name in SECTIONS.items()}
        rows: dict[str, list[tuple[str, str]]] = {}
        heading = ""
        for name, text in known_commands().items():
            heading = starts.get(name, heading)
            rows.setdefault(heading, []).append((name, text))
        for heading, commands in rows.items():
            with formatter.section(heading):
                formatter.write_dl(commands)


def _show_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"coopr {distribution_version('coopr-prefect')}")
        ctx.exit()


def _remember_environment(name: str) -> Callable[[], None]:
    """Return what puts a variable back as it is now."""
    before = os.environ.get(name)

    def restore() -> None:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before

    return restore


@click.group(
    cls=LazyCommands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 differences found, 3 invalid input, 4 unreachable, 5 tasks failed, "
    "6 no layout or quota, 7 timed out, 8 not found, 9 busy, 10 refused, 130 interrupted.",
)
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_show_version, help="The version.")
@click.option("--tenant", metavar="NAME", help="Whose clusters to work on (default: the setting 'tenant').")
@click.pass_context
def cli(ctx: click.Context, tenant: str | None) -> None:
    """Templates and constraints in, a running cluster out."""
    set_via(COMMAND)
    if tenant == "":
        raise click.BadParameter("it is empty (is a variable of the shell not set?)", param_hint="--tenant")
    if tenant is not None:
        ctx.call_on_close(_remember_environment("COOPR_TENANT"))
        os.environ["COOPR_TENANT"] = tenant


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the documented code.

    This is the process's outermost edge: a failure that is not a ``CooprError`` is a bug and shows its traceback.
    """
    if arguments is None:
        speak_utf8()
        _spare_collections()
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    replace_what_cannot_be_shown()
    try:
        check_arguments(words)
        result = cli.main(args=words, prog_name="coopr", standalone_mode=False)
        code = result if isinstance(result, int) else 0
    except click.Abort:
        code = _report(Interrupted("interrupted"), words)
    except KeyboardInterrupt:
        code = _report(Interrupted("interrupted"), words)
    except click.UsageError as error:
        help_command = error.ctx.command_path if error.ctx else "coopr"
        message = unknown_option(error) if isinstance(error, click.NoSuchOption) else error.format_message()
        code = _report(InvalidInput(message, hint=f"see '{help_command} --help'"), words)
    except click.ClickException as error:
        code = _report(InvalidInput(error.format_message()), words)
    except CooprError as error:
        code = _report(error, words)
        if arguments is None and error.code == SERVER_GONE:
            end_at_once(code)
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    except OSError as error:
        told = unwritable(error)
        if told is None:
            raise
        code = _report(told, words)
    sys.exit(code)


def _spare_collections() -> None:
    """Look for garbage less often, and not at the end: imports, most of what a short command does, leave none."""
    gc.set_threshold(100_000, 50, 100)
    atexit.register(gc.freeze)


def wants_json(words: Sequence[str]) -> bool:
    """Whether the command line asks for JSON, also when it could not be parsed."""
    end = words.index("--") if "--" in words else len(words)
    known = list(words[:end])
    pairs = zip(known, [*known[1:], ""], strict=True)
    return (
        "--json" in known
        or "-ojson" in known
        or "--output=json" in known
        or any(flag in ("-o", "--output") and value == "json" for flag, value in pairs)
    )


def _report(error: CooprError, words: Sequence[str]) -> int:
    if wants_json(words):
        from coopr_cli.output import json_text

        click.echo(json_text({**error.to_json(), "exit_code": error.exit_code}, indent=2))
    else:
        click.secho("Error: ", nl=False, err=True, fg="red", bold=True)
        click.echo(str(error), err=True)
        if error.hint:
            for number, line in enumerate(error.hint.splitlines()):
                click.secho("        " if number else "  hint: ", nl=False, err=True, fg="cyan")
                click.echo(line, err=True)
    return error.exit_code


if __name__ == "__main__":
    main()
