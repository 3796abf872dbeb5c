"""How `init`, `check`, `login`, `config` and `simulate` are typed; what they do is in modules that are loaded when they run."""

import json
from pathlib import Path
from typing import Annotated

import typer

from calrelay.cli.options import AsJson, account_names
from calrelay.cli.output import Output
from calrelay.cli.session import session_of
from calrelay.domain.link import MessageMode

FIRST_PORT = 8700  # where `simulate` begins, and where a config for it looks; the simulators' own default, which a test compares


def init(
    ctx: typer.Context,
    path: Annotated[Path | None, typer.Argument(metavar="[PATH]", help="The file to write; ./config.toml when it is not named.")] = None,
    *,
    vendors: Annotated[
        list[str] | None, typer.Option("--vendor", metavar="NAME", help="A source you use: tripleseat, timetap. Repeatable.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="ACCOUNT.KEY=VALUE",
            help="A key of an account. A secret's VALUE is env:VARIABLE, file:PATH, credential:NAME, or the secret itself. Repeatable.",
        ),
    ] = None,
    calendars: Annotated[
        list[str] | None,
        typer.Option("--calendar", metavar="[ACCOUNT=]NAME", help="The target's calendar, for all sources or for one. Repeatable."),
    ] = None,
    messages: Annotated[MessageMode | None, typer.Option(help="How new events are marked for messages.")] = None,
    region: Annotated[str | None, typer.Option(metavar="CODE", help="Country of phone numbers without a country code.")] = None,
    takes_defaults: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: what is not given gets its default.")] = False,
    simulate: Annotated[bool, typer.Option("--simulate", help="For `calrelay simulate`: no account needed, asks nothing.")] = False,
    port: Annotated[int, typer.Option(help="With --simulate: the port that `calrelay simulate` begins at.", min=1)] = FIRST_PORT,
) -> int:
    """Ask a few questions and write a commented config, readable by you alone.

    Every question has an option, so that scripts can answer all of them. A file that is there already is never overwritten. Secrets need
    not stand in the config: name the environment variable, the file or the systemd credential that holds each.
    """
    from calrelay.cli import drafting  # noqa: PLC0415 - heavy

    session = session_of(ctx)
    given = drafting.Given(
        vendors=tuple(vendors or ()),
        settings=tuple(settings or ()),
        calendars=tuple(calendars or ()),
        messages=None if messages is None else messages.value,
        region=region,
    )
    first_port = port if simulate else None
    return drafting.init(Output(), path or session.config_file, given, takes_defaults=takes_defaults, first_port=first_port)


def check(
    ctx: typer.Context,
    offline: Annotated[bool, typer.Option("--offline", help="Look at this machine only: no vendor is asked, no secret is needed.")] = False,
    tries_notify: Annotated[bool, typer.Option("--notify", help="Send a notice and a ping for a trial, if nothing is wrong.")] = False,
    as_json: AsJson = False,
) -> int:
    """Validate everything that `run` would refuse, and ask each account, reading only.

    Shows what the accounts have: sites, locations, staff, calendars, time zones. One account that fails does not hide the others, and all
    problems are told at once, each with what to do.
    """
    from calrelay.cli import checking  # noqa: PLC0415 - heavy

    return checking.check(session_of(ctx), Output(as_json), is_offline=offline, tries_notify=tries_notify)


def login(
    ctx: typer.Context,
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="An account's name in the config.", autocompletion=account_names)],
    code: Annotated[
        str | None, typer.Option(metavar="CODE", help="The code from the address you were led back to, or that whole address.")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address, but open no browser.")] = False,
    as_json: AsJson = False,
) -> int:
    """Give calrelay your consent to read a Tripleseat account.

    Prints an address, opens it where there is a browser, and waits up to five minutes for the answer at the account's redirect_uri, or for
    you to paste it. On a machine without a browser open the address anywhere, and paste the address you are led to, or its code.
    The consent before is kept until the new one has worked.
    """
    from calrelay.cli import consent  # noqa: PLC0415 - heavy

    browser = consent.Browser.CLOSED if no_browser else consent.Browser.OPENED
    return consent.login(session_of(ctx), Output(as_json), account, code=code, browser=browser)


def simulate(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(help="The page's port; the vendors take the next three. 0 takes free ones.", min=0)] = FIRST_PORT,
    events: Annotated[int, typer.Option(help="How many Tripleseat events there are; TimeTap has about half as many.", min=0)] = 130,
    seed: Annotated[int, typer.Option(help="The same number makes the same bookings.")] = 1,
    as_json: AsJson = False,
) -> int:
    """Run the three vendor simulators, until Ctrl-C, with a page of knobs.

    Nothing leaves this machine, and no account is needed. `calrelay init --simulate` writes the config that goes with it.
    """
    from calrelay.cli import simulating  # noqa: PLC0415 - heavy

    return simulating.simulate(session_of(ctx), Output(as_json), first_port=port, events=events, seed=seed)


config = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="What a config may hold: its schema for editors, and a commented example.",
)


@config.command()
def schema(tenant: Annotated[bool, typer.Option("--tenant", help="That of a tenant's file, which `include` names.")] = False) -> None:
    """Print the JSON Schema of config.toml, for editors."""
    from calrelay.config.schema import json_schema, tenant_schema  # noqa: PLC0415 - heavy, as is the next
    from calrelay.vendors.registry import VENDORS  # noqa: PLC0415

    Output().say(json.dumps(tenant_schema(VENDORS) if tenant else json_schema(VENDORS), indent=2))


@config.command()
def example() -> None:
    """Print a commented config with every key at its default."""
    from calrelay.config.example import example as written  # noqa: PLC0415 - heavy, as is the next
    from calrelay.vendors.registry import VENDORS  # noqa: PLC0415

    Output().say(written(VENDORS).rstrip("\n"))
