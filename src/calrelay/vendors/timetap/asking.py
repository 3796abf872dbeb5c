"""How TimeTap is asked, whatever for: what is repeated, and how "there is no such thing" is told from other refusals. No endpoints here."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from calrelay.errors import ResponseInvalid, VendorError
from calrelay.http.client import Answer, Params, VendorClient
from calrelay.http.failures import failure_of_status, invalid
from calrelay.ports import Clock

_LONGEST_SENTENCE: Final = 500
_UNKNOWN: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)


async def get(
    http: VendorClient,
    path: str,
    endpoint: str,
    params: Params | None = None,
    *,
    accept: Sequence[int] = (),
    retry_invalid: bool = True,
) -> Answer:
    """Ask for something; empty and non-JSON bodies, which come at times (TimeTap: 7), are asked for again."""
    return await http.request("GET", path, endpoint=endpoint, idempotent=True, params=params, accept=accept, retry_invalid=retry_invalid)


async def get_one(
    http: VendorClient, path: str, endpoint: str, params: Params | None = None, *, now: Clock, retry_invalid: bool = True
) -> Answer:
    """Ask for one thing by its id. Raises NotFound for a 404, and for a 400 that says "not found"."""
    answer = await get(http, path, endpoint, params, accept=_UNKNOWN, retry_invalid=retry_invalid)
    if answer.status in _UNKNOWN:
        raise refusal(answer, now)
    return answer


async def send(http: VendorClient, method: str, path: str, endpoint: str, *, body: object = None, idempotent: bool, now: Clock) -> Answer:
    """Write something. Raises NotFound as `get_one` does; what a 2xx says need not be true, so read back what matters."""
    answer = await http.request(method, path, endpoint=endpoint, idempotent=idempotent, json=body, accept=_UNKNOWN)
    if answer.status in _UNKNOWN:
        raise refusal(answer, now)
    return answer


def refusal(answer: Answer, now: Clock) -> VendorError:
    """Tell "there is no such thing" from everything else that a 400 or 404 may mean."""
    if answer.is_html:
        return invalid(answer.where, answer.status, "a page for people instead of JSON")
    status = HTTPStatus.NOT_FOUND if _says_not_found(answer) else answer.status
    failure = failure_of_status(answer.where, status, answer.headers, now=now())
    return failure.error if failure else invalid(answer.where, answer.status, "something else than promised")


def _says_not_found(answer: Answer) -> bool:
    """Recognise the bare JSON string `"Appointment for Id 123 not found!"`, which comes with a 400 (TimeTap: 7)."""
    try:
        sentence = answer.json()
    except ResponseInvalid:
        return False
    return isinstance(sentence, str) and "not found" in sentence[:_LONGEST_SENTENCE].casefold()
