"""The HTTP calls of the simulated TimeTap that concern appointments, read and written (TimeTap page, sections 2, 4 and 9)."""

import itertools
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from calrelay.simulators.timetap.book import AppointmentBook
from calrelay.simulators.timetap.mail import Mails
from calrelay.simulators.timetap.report import Report
from calrelay.simulators.timetap.rows import Json, an_appointment_row
from calrelay.simulators.timetap.settings import TimeTapSettings, UnknownId
from calrelay.simulators.timetap.shapes import dress


def not_found(what: str, number: object) -> Response:
    """Answer as TimeTap's writes do for an id they do not know: 400 and a bare JSON string."""
    return JSONResponse(f"{what} for Id {number} not found!", 400)


def unknown_id(what: str, number: object, settings: TimeTapSettings) -> Response:
    """Answer a GET of an id that is not there, in the way the settings choose."""
    match settings.unknown_id:
        case UnknownId.EMPTY:
            return Response(b"", 200, media_type="application/json")
        case UnknownId.BAD_REQUEST:
            return not_found(what, number)
        case UnknownId.NOT_FOUND:
            return JSONResponse(f"{what} for Id {number} not found!", 404)


async def read_object(request: Request) -> Json | None:
    """Read a JSON object, or None where the body is anything else."""
    try:
        value = json.loads(await request.body())
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


class AppointmentCalls:
    """The endpoints over one book; every write leaves a mail in the ledger."""

    def __init__(self, *, book: AppointmentBook, report: Report, mails: Mails, settings: TimeTapSettings) -> None:
        self._book = book
        self._report = report
        self._mails = mails
        self._settings = settings
        self.after_page: list[Callable[[], object]] = []

    def routes(self) -> list[Route]:
        """List the routes, most special first."""
        return [
            Route("/appointmentList/report", self.list_page),
            Route("/appointments/report", self.list_page),
            Route("/appointmentList/reportCount", self.count),
            Route("/appointments/reportCount", self.count),
            Route("/appointmentList/reportWithCount", self.list_with_count),
            Route("/appointments/status/{status}", self.list_by_status),
            Route("/appointments/resource/{resource:int}/{statuses}", self.list_by_resource),
            Route("/appointments/recurringappointments/{series:int}", self.list_series),
            Route("/appointments", self.create, methods=["POST"]),
            Route("/appointments/{id:int}", self.show),
            Route("/appointments/{id:int}", self.write, methods=["PUT", "PATCH"]),
            Route("/appointments/{id:int}/checkWaitList", self.check_wait_list),
            Route("/appointments/{id:int}/cancel/{staff}/{client}", self.cancel, methods=["PUT"]),
            Route("/appointments/{id:int}/completed/{client}", self.complete, methods=["PUT"]),
            Route("/appointments/{id:int}/noshow/{client}", self.no_show, methods=["PUT"]),
            Route("/calendar/range/{staff}", self.list_range),
            Route("/calendar/event/{kind}/{id:int}", self.show),
            Route("/auditTrail/calendar/{id:int}", self.audit_trail),
        ]

    async def list_page(self, request: Request) -> Response:
        """GET /appointmentList/report."""
        page = self._dressed(self._report.page(request.query_params))
        for act in self.after_page:
            act()
        return JSONResponse(page)

    async def count(self, request: Request) -> Response:
        """GET /appointmentList/reportCount."""
        if not self._settings.counts:
            return Response("Not Found", 404)
        return JSONResponse({"count": self._report.count(request.query_params)})

    async def list_with_count(self, request: Request) -> Response:
        """GET /appointmentList/reportWithCount; nobody has seen its key names."""
        rows = self._dressed(self._report.page(request.query_params))
        return JSONResponse({self._settings.list_key: rows, self._settings.count_key: self._report.count(request.query_params)})

    async def list_by_status(self, request: Request) -> Response:
        """GET /appointments/status/{status}."""
        return JSONResponse(self._matching(lambda row: row["status"] == request.path_params["status"]))

    async def list_by_resource(self, _: Request) -> Response:
        """GET /appointments/resource/{resourceId}/{statusList}: nobody here books resources."""
        return JSONResponse([])

    async def list_series(self, request: Request) -> Response:
        """GET /appointments/recurringappointments/{id}."""
        return JSONResponse(self._matching(lambda row: row["recurringAppointmentId"] == request.path_params["series"]))

    async def show(self, request: Request) -> Response:
        """GET /appointments/{id}."""
        calendar_id = request.path_params["id"]
        booking = self._book.bookings.get(calendar_id)
        if booking is None:
            return unknown_id("Appointment", calendar_id, self._settings)
        return JSONResponse(dress(booking.row, self._settings))

    async def create(self, request: Request) -> Response:
        """POST /appointments: books at once; a body made for a list call books too, or fails as a body."""
        body = await read_object(request)
        try:
            row = self._booked(body or {})
        except (KeyError, TypeError, ValueError):
            return JSONResponse("Appointment could not be saved", 400)
        self._book.add(row)
        self._mail(request, row, "[Appointment Confirmation]")
        return JSONResponse(dress(row, self._settings))

    async def write(self, request: Request) -> Response:
        """PATCH takes any part; PUT is a full replace and wants the status."""
        body, calendar_id = await read_object(request), request.path_params["id"]
        if calendar_id not in self._book.bookings:
            return not_found("Appointment", calendar_id)
        if body is None or (request.method == "PUT" and not body.get("status")):
            return JSONResponse("Appointment could not be saved", 400)
        row = self._book.patch(calendar_id, {k: v for k, v in body.items() if k != "calendarId"}, user="api")
        self._mail(request, row, "[Appointment Changed]")
        return JSONResponse(dress(row, self._settings))

    async def cancel(self, request: Request) -> Response:
        """PUT /appointments/{id}/cancel/{sendStaffEmail}/{sendClientEmail}."""
        return self._set_status(request, "CANCELLED", "[Appointment Cancellation]")

    async def complete(self, request: Request) -> Response:
        """PUT /appointments/{id}/completed/{sendClientEmail}."""
        return self._set_status(request, "COMPLETED", "[Appointment Completed]")

    async def no_show(self, request: Request) -> Response:
        """PUT /appointments/{id}/noshow/{sendClientEmail}."""
        return self._set_status(request, "NO_SHOW", "[No Show]")

    async def check_wait_list(self, _: Request) -> Response:
        """GET /appointments/{id}/checkWaitList: nobody waits."""
        return JSONResponse([])

    async def list_range(self, request: Request) -> Response:
        """GET /calendar/range/{staffIdList}: everything on the calendars, time off and holds included."""
        wanted = set(request.path_params["staff"].split(","))
        return JSONResponse(self._matching(lambda row: str((row["staff"] or {}).get("professionalId")) in wanted))

    async def audit_trail(self, request: Request) -> Response:
        """GET /auditTrail/calendar/{calendarId}."""
        return JSONResponse([entry for entry in self._book.audit if entry["tableId"] == request.path_params["id"]])

    def _set_status(self, request: Request, status: str, subject: str) -> Response:
        calendar_id = request.path_params["id"]
        if calendar_id not in self._book.bookings:
            return not_found("Appointment", calendar_id)
        row = self._book.patch(calendar_id, {"status": status}, user="api")
        self._mail(request, row, subject)
        return JSONResponse(dress(row, self._settings))

    def _dressed(self, rows: Iterable[Json]) -> list[Json]:
        return [dress(row, self._settings) for row in rows]

    def _matching(self, wanted: Callable[[Json], bool]) -> list[Json]:
        found = sorted((b for b in self._book.listed() if wanted(b.row)), key=lambda b: b.order)
        return self._dressed(b.row for b in found)

    def _mail(self, request: Request, row: Json, subject: str) -> None:
        client: dict[str, Any] = row.get("client") or {}
        path = request.url.path
        self._mails.record(
            cause=f"{request.method} {path}", to=client.get("emailAddress") or "", subject=subject, calendar_id=row["calendarId"]
        )

    def _booked(self, body: Json) -> Json:
        """Make the row a booking body asks for; references by id are filled from what other rows show."""
        start = _wall(body["startDate"], body["startTime"])
        minutes = int((_wall(body["endDate"], body["endTime"]) - start).total_seconds() // 60)
        parts = {key: self._part(key, id_key, body[key]) for key, id_key in PARTS}
        zone = parts["staff"]["timeZoneCode"]["timeZoneCode"]
        row = an_appointment_row(self._book.next_id(), start, minutes, zone, created_user="api", business_id=self._settings.business_id)
        return row | {k: v for k, v in body.items() if k in row and k != "calendarId"} | parts

    def _part(self, key: str, id_key: str, wanted: Json) -> Json:
        rows = (b.row for b in self._book.bookings.values() if (b.row[key] or {}).get(id_key) == wanted[id_key])
        found: Json = next(itertools.chain((row[key] for row in rows), [wanted]))
        return found


PARTS = (("client", "clientId"), ("staff", "professionalId"), ("location", "locationId"), ("reason", "reasonId"))


def _wall(day: str, clock: int) -> datetime:
    hours, minutes = divmod(int(clock), 100)
    return datetime.fromisoformat(f"{day}T{hours:02d}:{minutes:02d}:00")
