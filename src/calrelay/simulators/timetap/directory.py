"""The HTTP calls of the simulated TimeTap around appointments: staff, clients, id lists, zones, classes, free slots. Read only."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from calrelay.simulators.timetap.appointments import unknown_id
from calrelay.simulators.timetap.book import KNOWN_STATUSES, AppointmentBook
from calrelay.simulators.timetap.rows import Json, hhmm, timezone_list
from calrelay.simulators.timetap.settings import IdLists, TimeTapSettings
from calrelay.simulators.timetap.shapes import dress_staff

OPENING, CLOSING = time(9), time(17)


class DirectoryCalls:
    """The endpoints over what the rows of one book mention; `staff` and the others may also be filled beforehand."""

    def __init__(self, *, book: AppointmentBook, settings: TimeTapSettings) -> None:
        self._book = book
        self._settings = settings
        self.staff: dict[int, Json] = {}
        self.class_schedules: dict[int, Json] = {}

    def routes(self) -> list[Route]:
        """List the routes."""
        return [
            Route("/staff/{id:int}", self.show_staff),
            Route("/clients", self.list_clients),
            Route("/reasonIdList", self.list_reason_ids),
            Route("/clientIdList", self.list_client_ids),
            Route("/staffIdList", self.list_staff_ids),
            Route("/locationIdList", self.list_location_ids),
            Route("/timezones", self.list_timezones),
            Route("/status", self.list_statuses),
            Route("/waitlist", self.list_nothing),
            Route("/recurringclassschedule", self.list_nothing),
            Route("/classschedule/{id:int}", self.show_class),
            Route("/classschedule/staff/{staff:int}", self.list_classes),
            Route("/classschedule/location/{location:int}", self.list_classes),
            Route("/classschedule/list/{status}/{staff_list}", self.list_classes),
            Route("/availability/{year:int}/{month:int}/{day:int}/{staff:int}/{location:int}/{reason:int}", self.list_slots),
        ]

    async def show_staff(self, request: Request) -> Response:
        """GET /staff/{professionalId}: always with the zone."""
        found = self._staff().get(request.path_params["id"])
        if found is None:
            return unknown_id("Staff", request.path_params["id"], self._settings)
        return JSONResponse(dress_staff(found, self._settings, whole=True))

    async def list_clients(self, request: Request) -> Response:
        """GET /clients: the matching ones first, and then others that do not match at all."""
        wanted = request.query_params.get("cellPhone", "")
        clients = list(self._parts("client", "clientId").values())
        matching = [c for c in clients if wanted and c["cellPhone"] == wanted]
        others = [c for c in clients if c not in matching][:1]
        return JSONResponse(matching + others)

    async def list_reason_ids(self, _: Request) -> Response:
        """GET /reasonIdList."""
        return self._ids("reasonIdList", self._parts("reason", "reasonId"))

    async def list_client_ids(self, _: Request) -> Response:
        """GET /clientIdList."""
        return self._ids("clientIdList", self._parts("client", "clientId"))

    async def list_staff_ids(self, _: Request) -> Response:
        """GET /staffIdList."""
        return self._ids("staffIdList", self._staff())

    async def list_location_ids(self, _: Request) -> Response:
        """GET /locationIdList."""
        return self._ids("locationIdList", self._parts("location", "locationId"))

    async def list_timezones(self, _: Request) -> Response:
        """GET /timezones: 377 of them."""
        return JSONResponse(list(timezone_list()))

    async def list_statuses(self, _: Request) -> Response:
        """GET /status; its shape is unknown."""
        return JSONResponse([{"status": status, "displayStatus": status} for status in KNOWN_STATUSES])

    async def list_nothing(self, _: Request) -> Response:
        """Answer for what this business does not use."""
        return JSONResponse([])

    async def show_class(self, request: Request) -> Response:
        """GET /classschedule/{id}."""
        found = self.class_schedules.get(request.path_params["id"])
        return unknown_id("Class", request.path_params["id"], self._settings) if found is None else JSONResponse(found)

    async def list_classes(self, request: Request) -> Response:
        """GET /classschedule/staff|location|list/…."""
        path = request.path_params
        staff = {path["staff"]} if "staff" in path else {int(s) for s in path.get("staff_list", "").split(",") if s.isdigit()}
        found = [c for c in self.class_schedules.values() if not staff or c["staff"]["professionalId"] in staff]
        if "location" in path:
            found = [c for c in found if c["location"]["locationId"] == path["location"]]
        status = str(path.get("status", "")).upper()
        return JSONResponse([c for c in found if status in ("", str(c["status"]).upper())])

    async def list_slots(self, request: Request) -> Response:
        """GET /availability/…: the free hours of a day, on the staff member's clock."""
        path = request.path_params
        staff = self._staff().get(path["staff"])
        if staff is None:
            return JSONResponse([])
        day = date(path["year"], path["month"], path["day"])
        hours = (datetime.combine(day, time(hour)) for hour in range(OPENING.hour, CLOSING.hour))
        free = [h for h in hours if not self._is_taken(path["staff"], h)]
        return JSONResponse([{"startTime": hhmm(h), "clientStartTime": hhmm(h), "endTime": hhmm(h + timedelta(hours=1))} for h in free])

    def _is_taken(self, professional_id: int, hour: datetime) -> bool:
        rows = (b.row for b in self._book.bookings.values() if (b.row["staff"] or {}).get("professionalId") == professional_id)
        day, begin, end = hour.date().isoformat(), hhmm(hour), hhmm(hour + timedelta(hours=1))
        return any(r["startDate"] == day and r["startTime"] < end and r["endTime"] > begin for r in rows)

    def _ids(self, key: str, known: dict[int, Json]) -> Response:
        ids = sorted(known)
        return JSONResponse({key: ids} if self._settings.id_lists is IdLists.OBJECT else ids)

    def _staff(self) -> dict[int, Json]:
        return self._parts("staff", "professionalId") | self.staff

    def _parts(self, part: str, id_key: str) -> dict[int, Json]:
        return {found[id_key]: found for found in self._mentioned(part)}

    def _mentioned(self, part: str) -> Iterator[Json]:
        return (b.row[part] for b in self._book.bookings.values() if b.row.get(part))
