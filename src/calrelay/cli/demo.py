"""How `demo` is typed; the stage, the story and its summary are in `demo_stage`, `demo_story` and `demo_summary`, loaded when it runs."""

from typing import Annotated

import typer

from calrelay.cli.options import AsJson
from calrelay.cli.output import Output

FEWEST = 40


def demo(
    events: Annotated[
        int, typer.Option("--events", min=1, help=f"How many Tripleseat events, at least {FEWEST}; TimeTap has about half as many rows.")
    ] = 130,
    serve: Annotated[
        bool, typer.Option("--serve", help="Afterwards keep the daemon and its page running on the simulators, until Ctrl-C.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Watch calrelay do its work on simulated vendors: no account, no config, nothing leaves this machine.

    Runs the real commands: a plan, a first sync that is refused, a load that texts nobody, changes at the sources, an outage, and two
    accidents that calrelay holds back. Ends with what it changed, whom that could have messaged, what waits, and what to type next. With
    --json stdout gets that ending as one document, and the story goes to stderr.
    """
    from calrelay.cli import demo_story  # noqa: PLC0415 - heavy

    output = Output(as_json)
    if events < FEWEST:
        output.message(f"The story needs {FEWEST} events or more, so there are {FEWEST} of them.")
    return demo_story.demo(output, events=max(events, FEWEST), serves=serve)
