"""TimeTap's own calls below /_control: what staff do to appointments, and what the business has sent. No vendor behaviour."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from calrelay.simulators.control import Missing, guarded, read_object
from calrelay.simulators.timetap.book import AppointmentBook
from calrelay.simulators.timetap.due import Message, MessageSchedule
from calrelay.simulators.timetap.mail import Mails
from calrelay.simulators.timetap.rows import ClientPair, Json, Reminders
from calrelay.simulators.timetap.tokens import Tokens
from calrelay.simulators.timetap.webhooks import Order, WebhookSender


class ControlCalls:
    """The endpoints; every change answers with the row as it is stored."""

    def __init__(self, *, book: AppointmentBook, tokens: Tokens, mails: Mails, webhooks: WebhookSender, schedule: MessageSchedule) -> None:
        self._book = book
        self._tokens = tokens
        self._mails = mails
        self._webhooks = webhooks
        self._schedule = schedule
        self._verbs: dict[str, Callable[[int, Json], object]] = {
            "patch": book.patch,
            "move": self._move,
            "mark": lambda number, body: book.mark(number, body["status"], body.get("sub_status")),
            "cancel": lambda number, body: book.cancel(number, body.get("reason", "client asked")),
            "reopen": lambda number, _: book.reopen(number),
            "no_show": lambda number, _: book.no_show(number),
            "complete": lambda number, _: book.complete(number),
            "delete": lambda number, _: book.delete(number),
            "vanish": lambda number, _: book.vanish(number),
            "hide": lambda number, _: book.hide(number),
            "show": lambda number, _: book.show(number),
        }

    def routes(self) -> list[Route]:
        """List the routes, relative to /_control.

        GET, POST /appointments ({"start", "minutes", "staff_zone", …} in naive ISO time, other keys as in RowExtras);
        POST /appointments/{id}/{verb}; POST /tokens/expire; GET, DELETE /mails; GET /messages?begin=&end= (aware ISO times);
        POST /webhooks ({"url", "order", "copies"}, all optional). Where the setting webhook_url is filled, changes are delivered at once.
        """
        return [
            Route("/appointments", guarded(self.appointments), methods=["GET", "POST"]),
            Route("/appointments/{id:int}/{verb}", guarded(self.change), methods=["POST"]),
            Route("/tokens/expire", guarded(self.expire_tokens), methods=["POST"]),
            Route("/mails", guarded(self.mails), methods=["GET", "DELETE"]),
            Route("/messages", guarded(self.messages), methods=["GET"]),
            Route("/webhooks", guarded(self.deliver_webhooks), methods=["POST"]),
        ]

    async def appointments(self, request: Request) -> Response:
        """List the stored rows, or book one."""
        if request.method == "GET":
            return JSONResponse([booking.row for booking in self._book.bookings.values()])
        body = await read_object(request)
        start = datetime.fromisoformat(body.pop("start"))
        body |= {key: read(body[key]) for key, read in _READERS.items() if key in body}
        number = self._book.book(start, int(body.pop("minutes", 60)), body.pop("staff_zone", "America/New_York"), **body)
        await self._webhooks.deliver()
        return JSONResponse(self._book.row(number))

    async def change(self, request: Request) -> Response:
        """Do one of the verbs to an appointment; 404 when there is none."""
        number, verb = request.path_params["id"], request.path_params["verb"]
        if number not in self._book.bookings:
            raise Missing(f"there is no appointment {number}")
        if verb not in self._verbs:
            raise ValueError(f"an appointment cannot be told to {verb!r}, but to {', '.join(self._verbs)}")
        self._verbs[verb](number, await read_object(request))
        await self._webhooks.deliver()
        booking = self._book.bookings.get(number)
        return JSONResponse(booking.row if booking else None)

    async def expire_tokens(self, _: Request) -> Response:
        """Make every session token stale."""
        self._tokens.expire()
        return JSONResponse({"expired": True})

    async def mails(self, request: Request) -> Response:
        """List or forget the mails that API calls caused."""
        if request.method == "DELETE":
            self._mails.sent.clear()
        return JSONResponse([asdict(mail) | {"at": mail.at.isoformat()} for mail in self._mails.sent])

    async def messages(self, request: Request) -> Response:
        """List what TimeTap itself will send in a span, and what changes would make it send."""
        begin, end = (datetime.fromisoformat(request.query_params[key]) for key in ("begin", "end"))
        due, possible = self._schedule.due(begin, end), self._schedule.possible(begin, end)
        return JSONResponse({"due": [_plain(m) for m in due], "possible": [_plain(m) for m in possible]})

    async def deliver_webhooks(self, request: Request) -> Response:
        """Send the webhooks that wait."""
        body = await read_object(request)
        order, copies = Order(body.get("order", Order.AS_HAPPENED)), int(body.get("copies", 1))
        done = await self._webhooks.deliver(order=order, copies=copies, url=body.get("url", ""))
        return JSONResponse([delivery.status for delivery in done])

    def _move(self, number: int, body: dict[str, Any]) -> object:
        return self._book.move(number, datetime.fromisoformat(body["start"]), body.get("minutes"))


_READERS: dict[str, Callable[[Any], object]] = {
    "client_pair": ClientPair,
    "created": datetime.fromisoformat,
    "reminders": lambda hours: Reminders(**hours),
}


def _plain(message: Message) -> Json:
    return asdict(message) | {"at": message.at.isoformat() if message.at else None}
