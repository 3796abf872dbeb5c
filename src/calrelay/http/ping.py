"""Asks an address that belongs to no vendor, once, so that whoever watches it knows that we live. No account, no retry, no pace."""

import asyncio
from typing import Final

from httpx import AsyncBaseTransport, AsyncClient, HTTPError, InvalidURL

from calrelay import __version__
from calrelay.http.client import tls_context

WITHIN: Final = 10.0  # seconds for all of it


async def ping(url: str, *, transport: AsyncBaseTransport | None = None, within: float = WITHIN) -> str | None:
    """Ask the address, and return None, or what went wrong in our words: the address is a secret and stands in none of them.

    Redirects are not followed, and any 2xx will do.
    """
    verify = tls_context() if transport is None else True
    headers = {"User-Agent": f"calrelay/{__version__}"}
    try:
        async with asyncio.timeout(within), AsyncClient(transport=transport, verify=verify, headers=headers, timeout=within) as client:
            response = await client.get(url)
    except (HTTPError, InvalidURL, TimeoutError) as error:
        return f"no answer ({type(error).__name__})"
    return None if response.is_success else f"it answered {response.status_code}"
