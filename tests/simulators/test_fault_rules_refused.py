"""A fault rule is refused and not in force, or it can be played and shown; over a real socket, where a bad one would show."""

from datetime import UTC, datetime

import httpx
import pytest

from calrelay.simulators.server import FREE_PORTS, SimulatorServer
from calrelay.simulators.worlds import a_world

REFUSED = [
    '{"kind": "slow", "seconds": 1e999}',
    '{"kind": "status", "chance": 1e999}',
    '{"kind": "status", "headers": {"retry-after": "3\\r\\nx: y"}}',
    '{"kind": "status", "headers": {"retry after": "3"}}',
    '{"kind": "status", "headers": {"Content-Length": "999"}}',
    '{"kind": "status", "headers": {"x": "\\ud800"}}',
    '{"kind": "status", "body": "\\ud800"}',
]


@pytest.mark.parametrize(
    ("rule", "taken", "answer"),
    [
        *((rule, 400, 200) for rule in REFUSED),
        ('{"kind": "status", "headers": {"Retry-After": "3"}, "body": "é", "status": 429}', 200, 429),
    ],
)
async def test_a_rule_is_refused_or_can_be_played(rule: str, taken: int, answer: int) -> None:
    world = a_world(1, datetime.now(UTC))
    async with (
        SimulatorServer([world.tripleseat, world.timetap, world.apptoto], ports=FREE_PORTS) as server,
        httpx.AsyncClient(base_url=server.urls["apptoto"], auth=("ops@example.com", "apptoto-key")) as client,
    ):
        assert (await client.post("/_control/faults", content=rule)).status_code == taken
        assert (await client.get("/_control/state")).status_code == 200
        assert (await client.get("/v1/calendars")).status_code == answer
        assert len(world.apptoto.faults.rules) == (taken == 200)
