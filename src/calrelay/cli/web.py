"""`calrelay web`: where the page is, and where its token. It asks no vendor and needs no running daemon."""

from typing import Annotated, Any

import typer

from calrelay.cli.options import AsJson
from calrelay.cli.output import Block, Output, Table
from calrelay.cli.session import session_of


def web(
    ctx: typer.Context,
    token: Annotated[bool, typer.Option("--token", help="Print the token itself.")] = False,
    as_json: AsJson = False,
) -> int:
    """Tell where the daemon's page is, and where the token is kept that it asks for.

    The token opens everything the page can do: keep it to yourself. Anybody who may run this command may decide over holds anyway.
    """
    from calrelay.errors import ConfigError  # noqa: PLC0415 - with the config, which is heavy
    from calrelay.service.web.page_token import find_token, token_place  # noqa: PLC0415

    config = session_of(ctx).load()
    listen, place, found = config.web.listen, token_place(config), find_token(config)
    if token and found is None:
        raise ConfigError("there is no token yet", remedy="the daemon makes one when it first starts: `calrelay run`")
    url = listen.url if listen else None
    document: dict[str, Any] = {"url": url, "token_in": place, "is_token_made": found is not None}
    rows = [
        ("page", url or "switched off: `listen` under [web] is empty"),
        ("token in", place if found else f"{place}, once the daemon runs"),
    ]
    blocks: list[Block] = [Table(rows=rows)]
    if token:
        document["token"] = found
        blocks = [found or ""]  # and nothing else, so that $(calrelay web --token) is the token
    Output(as_json).answer(document, blocks)
    return 0
