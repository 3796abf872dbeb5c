"""The page of knobs beside the simulators: plain HTML forms, no JavaScript. It steers them; what they do is theirs."""

import dataclasses
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from html import escape
from urllib.parse import parse_qsl

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from calrelay.simulators import knobs
from calrelay.simulators.control import Simulator, to_fault
from calrelay.simulators.faults import Fault, Kind, When

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "section{border-top:1px solid #999;margin-top:2rem}button{justify-self:start}label{display:grid;font-size:.9rem}"
    "form{display:grid;grid-template-columns:repeat(auto-fill,minmax(16rem,1fr));gap:.4rem 1rem;align-items:end;margin:.6rem 0}"
    "table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.2rem .6rem;text-align:left}pre{overflow:auto}"
    "@media (prefers-color-scheme:dark){body{background:#111;color:#eee}a{color:#8cf}}"
)
_Form = dict[str, str]
EXAMPLES: Mapping[str, Sequence[tuple[str, str]]] = {
    "tripleseat": (
        ("events/61000001/rename", '{"name": "Winter Gala"}'),
        ("events/61000001/move", '{"minutes": 60}'),
        ("events/61000001/status", '{"status": "LOST"}'),
        ("events/61000001/delete", ""),
    ),
    "timetap": (
        ("appointments/70000010/move", '{"start": "2026-12-01T18:00"}'),
        ("appointments/70000010/cancel", ""),
    ),
    "apptoto": (("calendars", '{"name": "Garden"}'),),
}


def page_app(simulators: Sequence[Simulator], urls: Mapping[str, str]) -> ASGIApp:
    """Make the page for these simulators; `urls` may still be filled after this call."""
    page = _Page({simulator.name: simulator for simulator in simulators}, urls)
    return Starlette(
        routes=[
            Route("/", page.show, methods=["GET"]),
            Route("/{name}/settings", page.steering(_change_settings), methods=["POST"]),
            Route("/{name}/faults", page.steering(_add_fault), methods=["POST"]),
            Route("/{name}/faults/clear", page.steering(_clear_faults), methods=["POST"]),
            Route("/{name}/journal/clear", page.steering(_clear_journal), methods=["POST"]),
            Route("/{name}/clock", page.steering(_move_clock), methods=["POST"]),
            Route("/{name}/call", page.call, methods=["POST"]),
        ]
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Page:
    """The endpoints over the simulators by name."""

    simulators: Mapping[str, Simulator]
    urls: Mapping[str, str]

    async def show(self, _: Request) -> Response:
        sections = "".join(_section(s, self.urls.get(name, "")) for name, s in self.simulators.items())
        return HTMLResponse(_document(f"<h1>Simulated vendors</h1>{sections}"))

    def steering(self, steer: Callable[[Simulator, _Form], None]) -> Callable[[Request], Awaitable[Response]]:
        """Make an endpoint of what a form does: back to the page when it worked, 400 with the reason when not."""

        async def endpoint(request: Request) -> Response:
            name = request.path_params["name"]
            if name not in self.simulators:
                return _complaint(f"No simulator is called {name}.", 404)
            try:
                steer(self.simulators[name], await _read_form(request))
            except (ValueError, TypeError, KeyError, OverflowError) as error:
                return _complaint(str(error), 400)
            return RedirectResponse(f"/#{name}", 303)

        return endpoint

    async def call(self, request: Request) -> Response:
        """Make any control call and show its answer."""
        name, form = request.path_params["name"], await _read_form(request)
        if name not in self.simulators:
            return _complaint(f"No simulator is called {name}.", 404)
        transport = httpx.ASGITransport(self.simulators[name].app)
        async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as client:
            path = "/_control/" + form.get("path", "state").lstrip("/")
            answer = await client.request(form.get("method", "GET"), path, content=form.get("body", ""))
        title = f"{form.get('method', 'GET')} {path}: {answer.status_code}"
        back = f"<p><a href='/#{name}'>Back</a></p>"
        return HTMLResponse(_document(f"<h1>{escape(title)}</h1>{back}<pre>{escape(_pretty(answer.text))}</pre>{back}"), answer.status_code)


def _change_settings(simulator: Simulator, form: _Form) -> None:
    knobs.patch(simulator.settings, form)


def _add_fault(simulator: Simulator, form: _Form) -> None:
    row: dict[str, object] = {key: form[key] for key in ("kind", "when", "method", "path", "body") if form.get(key)}
    row["times"] = int(form["times"]) if form.get("times") else None
    row["status"] = int(form.get("status") or 503)
    row["seconds"] = float(form.get("seconds") or 0)
    row["headers"] = {"retry-after": form["retry_after"]} if form.get("retry_after") else {}
    simulator.faults.add(to_fault(row))


def _clear_faults(simulator: Simulator, _: _Form) -> None:
    simulator.faults.clear()


def _clear_journal(simulator: Simulator, _: _Form) -> None:
    simulator.journal.clear()


def _move_clock(simulator: Simulator, form: _Form) -> None:
    simulator.clock.advance(timedelta(minutes=float(form["minutes"])))


async def _read_form(request: Request) -> _Form:
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))


def _complaint(text: str, status: int) -> Response:
    return HTMLResponse(_document(f"<h1>Not done</h1><p>{escape(text)}</p><p><a href='/'>Back</a></p>"), status)


def _document(body: str) -> str:
    return (
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>Simulated vendors</title><style>{_STYLE}</style></head><body><main>{body}</main></body></html>"
    )


def _section(simulator: Simulator, url: str) -> str:
    name, requests = escape(simulator.name), len(simulator.journal.entries)
    links = " · ".join(f"<a href='{escape(url)}/_control/{path}'>{path} as JSON</a>" for path in ("state", "journal", "faults"))
    return (
        f"<section id='{name}'><h2>{name.capitalize()}</h2><p><code>{escape(url)}</code> · {requests} requests · {links}</p>"
        f"<pre>{escape(json.dumps(simulator.snapshot(), indent=1))}</pre>"
        f"{_settings_form(simulator)}{_faults_form(simulator)}{_clock_form(simulator)}{_call_form(simulator)}</section>"
    )


def _settings_form(simulator: Simulator) -> str:
    fields = "".join(f"<label>{escape(knob.name)} {_field(knob)}</label>" for knob in knobs.knobs_of(simulator.settings))
    return f"<h3>Knobs</h3>{_form(simulator.name, 'settings', fields, 'Set')}"


def _field(knob: knobs.Knob) -> str:
    if not knob.choices:
        return _input(knob.name, knob.text)
    return _select(knob.name, knob.choices, knob.text)


def _faults_form(simulator: Simulator) -> str:
    fields = (
        f"<label>kind {_select('kind', [k.value for k in Kind], 'status')}</label>"
        f"<label>when {_select('when', [w.value for w in When], 'before')}</label>"
        f"<label>method {_input('method', '*')}</label><label>path contains {_input('path', '')}</label>"
        f"<label>times, empty for ever {_input('times', '1')}</label><label>status {_input('status', '503')}</label>"
        f"<label>body {_input('body', '')}</label><label>Retry-After {_input('retry_after', '')}</label>"
        f"<label>seconds {_input('seconds', '0')}</label>"
    )
    rows = "".join(_fault_row(fault) for fault in simulator.faults.rules)
    table = f"<table><tr><th>kind</th><th>requests</th><th>times left</th></tr>{rows}</table>" if rows else "<p>None.</p>"
    clear = _form(simulator.name, "faults/clear", "", "Let everything work again")
    return f"<h3>Faults</h3>{table}{_form(simulator.name, 'faults', fields, 'Add fault')}{clear}"


def _fault_row(fault: Fault) -> str:
    times = "for ever" if fault.times is None else str(fault.times)
    what = f"{fault.kind.value} {fault.status}" if fault.kind is Kind.STATUS else fault.kind.value
    return f"<tr><td>{escape(what)}</td><td>{escape(f'{fault.method} {fault.path}')}</td><td>{times}</td></tr>"


def _clock_form(simulator: Simulator) -> str:
    now = simulator.clock.now().isoformat(timespec="seconds")
    field = f"<label>minutes {_input('minutes', '60')}</label>"
    return f"<h3>Clock</h3><p>It is {now}.</p>{_form(simulator.name, 'clock', field, 'Move the clock')}"


def _call_form(simulator: Simulator) -> str:
    name = simulator.name
    fields = (
        f"<label>method {_select('method', ['GET', 'POST', 'DELETE'], 'POST')}</label>"
        f"<label>/_control/{_input('path', 'clock')}</label>"
        "<label>JSON body <textarea name='body' rows='2' cols='50'></textarea></label>"
    )
    clear = _form(name, "journal/clear", "", "Forget the requests seen so far")
    return f"<h3>Any control call</h3>{_examples(name)}{_form(name, 'call', fields, 'Call')}{_calls(simulator.control_routes())}{clear}"


def _examples(name: str) -> str:
    rows = "".join(f"<tr><td><code>{path}</code></td><td><code>{escape(body)}</code></td></tr>" for path, body in EXAMPLES.get(name, ()))
    return f"<p>Change what it holds by POST, for example:</p><table>{rows}</table>" if rows else ""


def _calls(routes: Sequence[BaseRoute]) -> str:
    named = [route for route in routes if isinstance(route, Route)]
    rows = "".join(f"<li><code>{' '.join(sorted((r.methods or set()) - {'HEAD'}))} {escape(r.path)}</code></li>" for r in named)
    return f"<details><summary>All calls of its own</summary><ul>{rows}</ul></details>"


def _form(name: str, action: str, fields: str, button: str) -> str:
    return f"<form method='post' action='/{name}/{action}'>{fields}<button>{button}</button></form>"


def _input(name: str, value: str) -> str:
    return f"<input name='{escape(name)}' value='{escape(value)}'>"


def _select(name: str, choices: Sequence[str], chosen: str) -> str:
    options = "".join(f"<option{' selected' if c == chosen else ''}>{escape(c)}</option>" for c in choices)
    return f"<select name='{escape(name)}'>{options}</select>"


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=1)
    except ValueError:
        return text
