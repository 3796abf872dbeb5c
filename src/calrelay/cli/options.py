"""The arguments and options that several commands share, with their words. Completion reads names only, and needs no vendor."""

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from calrelay.cli.session import Session


def pipeline_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete a pipeline's name from the config, as far as it can be read."""
    return _completions(
        ctx, incomplete, lambda document: [str(table["name"]) for table in document.get("pipelines", []) if "name" in table]
    )


def account_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete an account's name in the same way."""
    return _completions(ctx, incomplete, lambda document: list(document.get("accounts", {})))


def _completions(ctx: typer.Context, incomplete: str, names_in: Callable[[dict[str, Any]], list[str]]) -> list[str]:
    session = ctx.find_object(Session) or Session()
    places = [session.config_file, os.environ.get("CALRELAY_CONFIG"), "config.toml", "/etc/calrelay/config.toml"]
    for place in places:
        if place and (path := Path(place)).is_file():
            try:
                return [name for name in names_in(tomllib.loads(path.read_text("utf-8"))) if name.startswith(incomplete)]
            except (OSError, ValueError, TypeError, AttributeError):
                return []  # completion stays silent about what the command itself will report
    return []


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout; logs and progress go to stderr.")]
PipelineNames = Annotated[
    list[str] | None,
    typer.Argument(metavar="PIPELINE", help="Names of pipelines; none means all enabled ones.", autocompletion=pipeline_names),
]
PipelineName = Annotated[str, typer.Argument(metavar="PIPELINE", help="A pipeline's name.", autocompletion=pipeline_names)]
EventId = Annotated[str, typer.Argument(metavar="EXTERNAL_ID", help="An event's id at the target, such as ts-55120 or tt-70000001.")]
