"""Runs `simulate`: the three vendors on ports of this machine until somebody stops them; and the config that goes with them."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from calrelay import log
from calrelay.cli.output import Output, Table
from calrelay.cli.session import Interrupted, Session
from calrelay.config.example import Draft
from calrelay.config.toml import toml_value
from calrelay.errors import ConfigError
from calrelay.simulators.apptoto.settings import ApptotoSettings
from calrelay.simulators.server import DEFAULT_PORTS, PAGE, SimulatorServer
from calrelay.simulators.timetap.settings import TimeTapSettings
from calrelay.simulators.tripleseat.settings import ClientCredentials, TripleseatSettings
from calrelay.simulators.worlds import a_world

_HIGHEST_PORT = 65_535
_API = {"tripleseat": "/v1", "timetap": "/live", "apptoto": "/v1"}  # below each simulator's address
_APPOINTMENTS_PER_EVENT = 0.54  # as in the simulated world's own default


def simulate(session: Session, output: Output, *, first_port: int, events: int, seed: int) -> int:
    """Serve until Ctrl-C or SIGTERM, which is how it ends well. Raises ConfigError where a port cannot be had."""
    log.configure(level=session.log_level.value if session.log_level else "warning")
    ports = _ports(first_port)
    try:
        session.run(_serve(output, ports, events=events, seed=seed))
    except Interrupted:
        output.message("The simulators have stopped.")
    except OSError as error:
        remedy = "end what uses it, or begin elsewhere: `calrelay simulate --port 9100`"
        raise ConfigError(error.strerror or type(error).__name__, remedy=remedy) from None
    return 0


def simulated_draft(first_port: int) -> Draft:
    """Return the config that goes with simulators that begin at this port. Its credentials open nothing else."""
    return _draft({name: f"http://127.0.0.1:{port}" for name, port in _ports(first_port).items()})


def _ports(first: int) -> dict[str, int]:
    if first + len(DEFAULT_PORTS) - 1 > _HIGHEST_PORT:
        raise ConfigError(f"--port {first}: {len(DEFAULT_PORTS)} ports are needed from there on", remedy="choose a lower one")
    return {name: first + offset if first else 0 for offset, name in enumerate(DEFAULT_PORTS)}


def _draft(urls: Mapping[str, str]) -> Draft:
    tripleseat, timetap, apptoto = TripleseatSettings(), TimeTapSettings(), ApptotoSettings()
    accounts: dict[str, dict[str, Any]] = {
        "venue": {
            "vendor": "tripleseat",
            "client_id": tripleseat.client_id,
            "client_secret": tripleseat.client_secret,
            "auth": "client_credentials",
        },
        "studio": {
            "vendor": "timetap",
            "api_key": timetap.api_key,
            "private_key": timetap.private_key,
            "requests_per_second": 20.0,  # nobody is waited for politely here
        },
        "reminders": {"vendor": "apptoto", "username": apptoto.username, "api_key": apptoto.api_key},
    }
    for table in accounts.values():
        table["base_url"] = urls[table["vendor"]] + _API[table["vendor"]]
    pipelines = [
        {"name": "venue", "source": "venue", "target": "reminders", "calendar": "Main Hall"},
        {"name": "studio", "source": "studio", "target": "reminders", "calendar": "Studio"},
    ]
    return Draft(accounts=accounts, pipelines=pipelines)


async def _serve(output: Output, ports: Mapping[str, int], *, events: int, seed: int) -> None:
    appointments = round(events * _APPOINTMENTS_PER_EVENT)
    world = a_world(seed, datetime.now(UTC), tripleseat_events=events, timetap_appointments=appointments)
    world.tripleseat.settings.client_credentials = ClientCredentials.ON
    world.tripleseat.settings.auto_consent = True
    async with SimulatorServer([world.tripleseat, world.timetap, world.apptoto], ports=ports) as server:
        draft = _draft(server.urls)
        document = {"urls": server.urls, "accounts": draft.accounts, "pipelines": draft.pipelines}
        output.answer(document, _introduction(server.urls, draft, events=events, appointments=appointments))
        await asyncio.Event().wait()


def _introduction(urls: Mapping[str, str], draft: Draft, *, events: int, appointments: int) -> list[str | Table]:
    holdings = {"tripleseat": f"{events} events", "timetap": f"{appointments} appointments", "apptoto": "three empty calendars"}
    rows = [(name, urls[name], what) for name, what in holdings.items()]
    return [
        "The vendors are simulated, on this machine only, until Ctrl-C.",
        "",
        Table(rows=[*rows, (PAGE, urls[PAGE], "knobs: break them, move their clock, see what they were asked")], indent=2),
        "",
        _how_to_write_it(urls),
        "",
        *_snippet(draft),
        "",
        'They let the application in by itself. To try consent, write auth = "authorization_code" and run `calrelay login venue`: whoever',
        "opens the address it prints, be it with `curl -L`, consents.",
    ]


def _how_to_write_it(urls: Mapping[str, str]) -> str:
    """Name the `init` that finds these ports; free ones that the system chose, it cannot know."""
    first_port = int(urls[PAGE].rpartition(":")[2])
    if any(not urls[name].endswith(f":{first_port + offset}") for offset, name in enumerate(DEFAULT_PORTS)):
        return "A config for them:"
    option = "" if first_port == DEFAULT_PORTS[PAGE] else f" --port {first_port}"
    return f"In another terminal, `calrelay init --simulate{option}` writes this as a config:"


def _snippet(draft: Draft) -> list[str]:
    tables = [(f"[accounts.{name}]", table) for name, table in draft.accounts.items()]
    tables += [("[[pipelines]]", table) for table in draft.pipelines]
    return [line for heading, table in tables for line in (heading, *(f"{key} = {toml_value(value)}" for key, value in table.items()), "")][
        :-1
    ]
