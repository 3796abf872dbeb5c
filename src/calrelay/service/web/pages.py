"""The page's addresses and what each answers. Who may ask is decided at the gate, what is shown is gathered in `views`."""

import contextlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from calrelay import __version__
from calrelay.domain.words import iso
from calrelay.errors import Busy, CalrelayError, StateError, VendorError
from calrelay.log import get_logger
from calrelay.service.daemon import Daemon
from calrelay.service.story import next_step, sections, tell_all
from calrelay.service.web import rendering, views
from calrelay.service.web.access import SESSION_SECONDS, Access, Session, Verdict, path_of
from calrelay.service.web.deeds import DEEDS, Deed
from calrelay.service.web.gate import Gate, visit_of

NOTES_KEPT: Final = 100
_EXTERNAL_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,80}")
_log = get_logger(__name__)

Metrics = Callable[[], tuple[bytes, str]]
"""Returns the body of /metrics and its content type."""


class Pages:
    """The pages of one daemon, as an ASGI application. `access` may be replaced at any time."""

    def __init__(self, daemon: Daemon, access: Access, *, metrics: Metrics | None = None) -> None:
        self.access = access
        self._daemon = daemon
        self._metrics = metrics
        self._notes: dict[str, rendering.Note] = {}  # what a session did last, until it has been shown
        routes = [
            Route("/", self._overview, methods=["GET"]),
            Route("/holds/{hold:path}", self._hold, methods=["GET"]),
            Route("/events", self._look_up, methods=["GET"]),
            Route("/events/{external_id}", self._event, methods=["GET"]),
            Route("/login", self._show_login, methods=["GET"]),
            Route("/login", self._log_in, methods=["POST"]),
            Route("/logout", self._log_out, methods=["POST"]),
            Route("/healthz", self._healthz, methods=["GET"]),
            Route("/readyz", self._readyz, methods=["GET"]),
            Route("/metrics", self._tell_metrics, methods=["GET"]),
            *(Route(path, self._doing(deed), methods=["POST"]) for path, deed in DEEDS.items()),
        ]
        app = Starlette(routes=routes, exception_handlers={404: self._not_found, StateError: self._no_state})
        app.router.redirect_slashes = False  # it would answer with an address made of the Host header
        self.app = Gate(app, access=lambda: self.access, deny=self._deny, policy=rendering.POLICY)

    # --- what people look at ---

    async def _overview(self, request: Request) -> Response:
        return self._page(request, "overview.html", view=views.overview(self._daemon), is_live=True)

    async def _hold(self, request: Request) -> Response:
        hold = self._daemon.relay.ledger.hold(request.path_params["hold"])
        if hold is None:
            return self._message(request, "This hold is not open any more", "Somebody decided it, or the source changed its mind.", 404)
        return self._page(request, "hold.html", hold=hold, is_whole=True)

    async def _look_up(self, request: Request) -> Response:
        external_id = request.query_params.get("id", "").strip()
        if not _EXTERNAL_ID.fullmatch(external_id):
            return self._message(request, "That is no event's id", "Ids look like ts-55120 or tt-70000001.", 400)
        return RedirectResponse(f"/events/{quote(external_id)}", 303)

    async def _event(self, request: Request) -> Response:
        external_id = request.path_params["external_id"]
        if not _EXTERNAL_ID.fullmatch(external_id):
            return self._message(request, "That is no event's id", "Ids look like ts-55120 or tt-70000001.", 404)
        try:
            told = await self._daemon.borrow(lambda relay: tell_all(list(relay.pipelines.values()), relay.ledger, external_id))
        except VendorError as error:
            return self._message(request, error.message, error.remedy, 502)
        except CalrelayError as error:
            return self._message(request, error.message, error.remedy, 503 if isinstance(error, Busy) else 404)
        stories = [(one, sections(one), next_step(one)) for one in told]
        return self._page(request, "event.html", external_id=external_id, stories=stories)

    def _page(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        session = visit_of(request).session
        note = self._notes.pop(session.identity, None) if session else None
        shown = {"session": session, "note": note, "now": self._daemon.clock(), "version": __version__, "path": path_of(request)}
        return HTMLResponse(rendering.render(template, **shown, **values), status)

    def _message(self, request: Request, title: str, text: str, status: int) -> Response:
        return self._page(request, "message.html", status, title=title, text=text)

    # --- what people do ---

    def _doing(self, deed: Deed) -> Callable[[Request], Any]:
        """Make an endpoint of what a form asks: back to the page with a word about it."""

        async def endpoint(request: Request) -> Response:
            visit = visit_of(request)
            try:
                note = rendering.Note(text=await deed(self._daemon, visit.form))
            except StateError:
                raise
            except CalrelayError as error:
                status = 503 if isinstance(error, Busy) else 409
                return self._message(request, error.message, error.remedy, status)
            chosen = {key: visit.form[key] for key in ("hold", "pipeline", "external_id") if visit.form.get(key)}
            _log.info("decided on the page", what=path_of(request), **chosen)
            self._remember(visit.session, note)
            return RedirectResponse("/", 303)

        return endpoint

    def _remember(self, session: Session | None, note: rendering.Note) -> None:
        if session is None:
            return
        self._notes[session.identity] = note
        if len(self._notes) > NOTES_KEPT:
            del self._notes[next(iter(self._notes))]

    async def _show_login(self, request: Request) -> Response:
        return self._login_page(_local_path(request.query_params.get("to", "/")))

    async def _log_in(self, request: Request) -> Response:
        form = visit_of(request).form
        to = _local_path(form.get("to", "/"))
        if self.access.is_limited(request):
            return self._deny(request, Verdict.LIMITED)
        cookie = self.access.log_in(request, form.get("token", "").strip())
        if cookie is None:
            _log.warning("wrong token on the page", address=request.client.host if request.client else "")
            return self._login_page(to, status=401, is_wrong=True)
        answer = RedirectResponse(to, 303)
        is_secure = request.headers.get("origin", "").startswith("https://")
        answer.set_cookie(self.access.cookie, cookie, max_age=SESSION_SECONDS, httponly=True, samesite="strict", secure=is_secure)
        return answer

    async def _log_out(self, _request: Request) -> Response:
        answer = RedirectResponse("/", 303)
        answer.delete_cookie(self.access.cookie, httponly=True, samesite="strict")
        return answer

    # --- what machines ask ---

    async def _healthz(self, _request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _readyz(self, _request: Request) -> Response:
        try:
            found, held = self._daemon.freshness(), self._daemon.held()
        except StateError:
            return JSONResponse({"ready": False, "state": "not reachable", "pipelines": []}, 503)
        rows = [
            {
                "pipeline": name,
                "standing": "stale" if one.is_stale else "fresh",
                "last_complete_at": iso(one.last_complete_at),
                "age_seconds": round(one.age.total_seconds()),
                "allowed_seconds": round(one.allowed.total_seconds()),
                "health": self._daemon.runners[name].rhythm.health.value,
                "held": held[name],
            }
            for name, one in found.items()
        ]
        refused = [{"name": one.name, "runs_as_before": one.is_kept} for one in self._daemon.refusals.values()]
        is_ready = not any(one.is_stale for one in found.values()) and all(one["runs_as_before"] for one in refused)
        answer = {"ready": is_ready, "state": "reachable", "pipelines": rows, "refused": refused}
        return JSONResponse(answer, 200 if is_ready else 503)

    async def _tell_metrics(self, _request: Request) -> Response:
        if self._metrics is None:
            return PlainTextResponse("There are no metrics here.\n", 404)
        body, content_type = self._metrics()
        return Response(body, media_type=None, headers={"content-type": content_type})

    # --- refusals ---

    def _deny(self, request: Request, verdict: Verdict) -> Response:
        match verdict:
            case Verdict.LIMITED:
                return PlainTextResponse("Too many wrong tokens; wait a minute.\n", 429, headers={"retry-after": "60"})
            case Verdict.FOREIGN:
                why = "This form did not come from this page, or the page is old. Nothing was done.\n"
                return PlainTextResponse(why, 403) if not _wants_html(request) else self._refusal("Nothing was done", why)
            case _:
                to = path_of(request) if request.method in ("GET", "HEAD") else "/"
                if _wants_html(request):
                    return self._login_page(to, status=401)
                return PlainTextResponse("The token is needed here.\n", 401, headers=_CHALLENGE)

    def _login_page(self, to: str, *, status: int = 200, is_wrong: bool = False) -> Response:
        html = rendering.render("login.html", to=to, is_wrong=is_wrong, version=__version__, session=None, note=None)
        return HTMLResponse(html, status, headers=_CHALLENGE if status == 401 else None)

    def _refusal(self, title: str, text: str) -> Response:
        return HTMLResponse(rendering.render("message.html", title=title, text=text, version=__version__, session=None, note=None), 403)

    async def _not_found(self, request: Request, _error: Exception) -> Response:
        return self._message(request, "There is no such page", "The first page has everything there is.", 404)

    async def _no_state(self, _request: Request, error: Exception) -> Response:
        with contextlib.suppress(AttributeError):
            _log.error("the page cannot read the state", why=getattr(error, "message", ""))
        return PlainTextResponse("The state cannot be read; the log says why.\n", 503)


_CHALLENGE: Final[Mapping[str, str]] = {"www-authenticate": 'Bearer realm="calrelay"'}


def _wants_html(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _local_path(to: str) -> str:
    """Return where to go after the login: a path of this page, never another site's address."""
    return to if re.fullmatch(r"/(?![/\\])[\w./%-]*", to, re.ASCII) else "/"
