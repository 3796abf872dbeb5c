"""The arguments and options that several commands share, with their words. Completion reads names only, and needs no vendor."""

import glob
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from calrelay.cli.session import Session

_NamesIn = Callable[[dict[str, Any]], list[str]]


def pipeline_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete a pipeline's name from the config and its tenants' files, as far as they can be read."""
    return _completions(
        ctx, incomplete, lambda document: [str(table["name"]) for table in document.get("pipelines", []) if "name" in table]
    )


def account_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete an account's name in the same way."""
    return _completions(ctx, incomplete, lambda document: list(document.get("accounts", {})))


def _completions(ctx: typer.Context, incomplete: str, names_in: _NamesIn) -> list[str]:
    session = ctx.find_object(Session) or Session()
    places = [session.config_file, os.environ.get("CALRELAY_CONFIG"), "config.toml", "/etc/calrelay/config.toml"]
    for place in places:
        if place and (path := Path(place)).is_file():
            document = _tables(path)
            found = _names(document, names_in) + _tenants_names(document, path.parent, incomplete, names_in)
            return [name for name in found if name.startswith(incomplete)]
    return []


def _tenants_names(document: dict[str, Any], folder: Path, incomplete: str, names_in: _NamesIn) -> list[str]:
    """Return the names in tenants' files; before a tenant's name is typed out, what there is of each tenant is not looked up."""
    include = document.get("include")
    patterns = [pattern for pattern in include if isinstance(pattern, str)] if isinstance(include, list) else []
    files = sorted(folder / name for pattern in patterns for name in glob.glob(pattern, root_dir=folder))  # noqa: PTH207 - as it is loaded
    tenant, scope, _ = incomplete.partition("/")
    if not scope:
        return [f"{path.stem}/" for path in files]
    return [f"{path.stem}/{name}" for path in files if path.stem == tenant for name in _names(_tables(path), names_in)]


def _tables(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}  # completion stays silent about what the command itself will report


def _names(document: dict[str, Any], names_in: _NamesIn) -> list[str]:
    try:
        return names_in(document)
    except (TypeError, AttributeError):
        return []


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout; logs and progress go to stderr.")]
PipelineNames = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PIPELINE", help="Names of pipelines, or of a tenant (acme/); none means all enabled ones.", autocompletion=pipeline_names
    ),
]
PipelinesOrTenants = Annotated[
    list[str] | None,
    typer.Argument(metavar="PIPELINE|TENANT", help="Names of pipelines or tenants; none means all.", autocompletion=pipeline_names),
]
PipelineName = Annotated[str, typer.Argument(metavar="PIPELINE", help="A pipeline's name.", autocompletion=pipeline_names)]
EventId = Annotated[str, typer.Argument(metavar="EXTERNAL_ID", help="An event's id at the target, such as ts-55120 or tt-70000001.")]
