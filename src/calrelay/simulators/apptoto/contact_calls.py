"""The Apptoto simulator's vendor routes for contacts and address books."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from calrelay.simulators.apptoto.api import read_body
from calrelay.simulators.apptoto.contacts import Contacts

_Edit = Callable[[dict[str, Any]], dict[str, Any] | None]


class ContactCalls:
    """The endpoints of section 3.4 of the vendor page."""

    def __init__(self, contacts: Contacts) -> None:
        self._contacts = contacts

    def routes(self) -> list[Route]:
        """Give the routes, relative to /v1."""
        return [
            Route("/contact", self.get_contact, methods=["GET"]),
            Route("/contacts", self.list_contacts, methods=["GET"]),
            Route("/contacts", self.edit_contacts, methods=["POST", "PUT"]),
            Route("/contacts", self.delete_contact, methods=["DELETE"]),
            Route("/address_books", self.list_books, methods=["GET"]),
        ]

    async def get_contact(self, request: Request) -> Response:
        """GET /contact: one bare object."""
        query = request.query_params
        contact_id = query.get("id", "")
        contact = self._contacts.find(int(contact_id) if contact_id.isdecimal() else None, query.get("external_id"))
        return JSONResponse(contact or {}, 200 if contact else 404)

    async def list_contacts(self, request: Request) -> Response:
        """GET /contacts, paged; its address-book filter is broken and so ignored."""
        size, page = (request.query_params.get(name, "") for name in ("page_size", "page"))
        rows = int(size) if size.isdecimal() else 30
        first = (int(page) - 1 if page.isdecimal() else 0) * rows
        return JSONResponse({"contacts": self._contacts.all()[first : first + rows]})

    async def edit_contacts(self, request: Request) -> Response:
        """POST makes contacts, PUT changes those that are there and leaves out the others."""
        body = await read_body(request)
        rows = body.get("contacts") if body else None
        if not isinstance(rows, list):
            return JSONResponse({}, 400)
        edit: _Edit = self._contacts.add if request.method == "POST" else self._contacts.change
        edited = [edit(row) for row in rows if isinstance(row, dict)]
        return JSONResponse({"contacts": [contact for contact in edited if contact]})

    async def delete_contact(self, request: Request) -> Response:
        """DELETE /contacts, which unlike that of events takes a JSON body."""
        contact = self._contacts.remove(await read_body(request) or {})
        return JSONResponse({"contacts": [contact] if contact else []}, 200 if contact else 404)

    async def list_books(self, _: Request) -> Response:
        """GET /address_books."""
        return JSONResponse({"address_books": [{"id": i, "name": n} for i, n in self._contacts.books.items()]})
