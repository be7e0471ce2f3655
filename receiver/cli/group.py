"""The `nap` command: its verbs by what people want, each imported when it is used."""

from __future__ import annotations

from importlib import import_module

import click

from receiver.version import VERSION

# Section -> verb -> the module of receiver.cli that defines it.
SECTIONS = {
    "Start and stop": {
        "up": "machine",
        "down": "machine",
        "status": "machine",
        "doctor": "machine",
        "demo": "demo",
    },
    "Apps": {"create": "apps", "apps": "apps", "config": "apps", "destroy": "apps"},
    "Runs": {
        "run": "runs",
        "ps": "runs",
        "runs": "runs",
        "logs": "logs",
        "wait": "runs",
        "cancel": "runs",
        "results": "results",
    },
    "Releases": {"releases": "releases", "render": "releases", "stack": "stack"},
    "Nodes": {"nodes": "nodes"},
}
MODULES = {verb: module for verbs in SECTIONS.values() for verb, module in verbs.items()}


class UnknownVerb(click.UsageError):
    """A word that is no verb of nap's; the hint names the nearest one."""

    def __init__(self, verb: str, ctx: click.Context) -> None:
        from difflib import get_close_matches

        super().__init__(f"there is no command {verb!r}", ctx)
        near = get_close_matches(verb, MODULES, n=1)
        self.hint = f"did you mean: nap {near[0]}" if near else "nap --help lists them"


class VerbGroup(click.Group):
    """A group that knows where its verbs are without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in MODULES:
            return None
        module = import_module(f"receiver.cli.{MODULES[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in MODULES:
            raise UnknownVerb(args[0], ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, verbs in SECTIONS.items():
            commands = ((verb, self.get_command(ctx, verb)) for verb in verbs)
            rows = [(verb, command.get_short_help_str(70)) for verb, command in commands if command]
            with formatter.section(title):
                formatter.write_dl(rows)


@click.group(
    cls=VerbGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(VERSION, prog_name="nap", message="%(prog)s %(version)s")
@click.pass_context
def nap(ctx: click.Context) -> None:
    """git push nap master, and an MPI program runs over its slaves.

    \b
    Example:
      nap up
      nap create solver     # prints the line that adds the remote nap
      git push nap master
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
