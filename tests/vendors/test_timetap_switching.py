"""Switching TimeTap's messages off where its answers get lost or surprise: what was there is never forgotten while it may be gone."""

from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from calrelay.domain.switches import SwitchKind
from calrelay.engine.silence import Done, find_switches, remembered, restore, silence
from calrelay.errors import ResponseInvalid
from calrelay.simulators.faults import Fault, Kind, When
from calrelay.simulators.timetap.events import a_definition_body, an_action_body
from calrelay.simulators.timetap.rows import Json
from calrelay.simulators.timetap.settings import UnknownId
from calrelay.simulators.timetap.templates import TRIGGER, a_template_body
from calrelay.vendors.timetap.messages import TimeTapMessenger
from calrelay.vendors.timetap.messages_client import TimeTapMessagesClient
from tests.vendors.timetap_account import NOW, TimeTapAccount, open_account

ACTIONS = "/eventAction/eventDefinition/"


class Memos:
    """The ledger's small facts, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[str, datetime]] = {}

    def memos(self, prefix: str) -> dict[str, tuple[str, datetime]]:
        return {key: value for key, value in self.kept.items() if key.startswith(prefix)}

    def save_memo(self, key: str, value: str | None, at: datetime) -> None:
        self.kept.pop(key, None)
        if value is not None:
            self.kept[key] = (value, at)


@pytest.fixture
async def account() -> AsyncIterator[TimeTapAccount]:
    async with open_account() as account:
        yield account


def a_messenger(account: TimeTapAccount) -> TimeTapMessenger:
    return TimeTapMessenger(account="studio", client=TimeTapMessagesClient(account.http, now=account.sim.clock.now), now=lambda: NOW)


def a_trigger(account: TimeTapAccount) -> tuple[int, int]:
    """Add a time trigger with one mail to the client; return the ids of definition and action."""
    events, templates = account.sim.stores.events, account.sim.stores.templates
    definition = events.save_definition(a_definition_body(3, -24, "day before"))["eventDefnId"]
    template = templates.create(a_template_body(TRIGGER))["emailTemplateId"]
    return definition, events.save_action(an_action_body(definition, template))["eventActionId"]


async def switched_off(account: TimeTapAccount, kind: SwitchKind, identity: int, memory: Memos, *faults: Fault) -> Done:
    """Switch one thing off; the faults begin once it was found."""
    messengers = [a_messenger(account)]
    targets = await find_switches(messengers, [(kind, str(identity))], with_staff=False)
    for fault in faults:
        account.sim.faults.add(fault)
    [done] = [one async for one in silence(messengers, targets, memory, NOW)]
    return done


@pytest.mark.parametrize("unknown", [UnknownId.NOT_FOUND, UnknownId.BAD_REQUEST])
async def test_a_delete_whose_answer_is_lost_is_remembered_and_comes_back(account: TimeTapAccount, unknown: UnknownId) -> None:
    """The repeated request is told that there is no such definition: its first attempt took."""
    account.sim.settings.unknown_id = unknown
    memory, (definition, _) = Memos(), a_trigger(account)
    lost = Fault(kind=Kind.STATUS, status=503, method="DELETE", when=When.AFTER)
    done = await switched_off(account, SwitchKind.DEFINITION, definition, memory, lost)
    assert (done.error, done.words) == (None, "deleted; read back, and gone")
    assert [target.switch.name for target in remembered(memory, ["studio"])] == [f"definition:{definition}"]
    [back] = [one async for one in restore([a_messenger(account)], remembered(memory, ["studio"]), memory, NOW)]
    assert back.error is None
    assert account.sim.stores.events.definitions[definition]["active"] is True


async def test_a_definition_that_has_no_action_left_may_say_not_found(account: TimeTapAccount) -> None:
    memory, (definition, action) = Memos(), a_trigger(account)
    gone = Fault(kind=Kind.STATUS, status=404, path=f"{ACTIONS}{definition}", skip=1, body='"Not found!"')
    done = await switched_off(account, SwitchKind.ACTION, action, memory, gone)
    assert done.error is None
    assert account.sim.stores.events.actions[action]["active"] is False
    assert [target.switch.name for target in remembered(memory, ["studio"])] == [f"action:{action}"]


async def test_a_second_action_is_told_and_what_was_there_stays_remembered(
    account: TimeTapAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the first one still sends is not known then, so that a restore must stay possible."""
    memory, (_, action) = Memos(), a_trigger(account)
    events = account.sim.stores.events
    save = events.save_action

    def doubling(body: Json) -> Json:
        save(body)
        return save({key: value for key, value in body.items() if key != "eventActionId"} | {"active": True})

    monkeypatch.setattr(events, "save_action", doubling)
    done = await switched_off(account, SwitchKind.ACTION, action, memory)
    assert isinstance(done.error, ResponseInvalid)
    assert "second one beside it" in done.error.message
    assert [target.switch.name for target in remembered(memory, ["studio"])] == [f"action:{action}"]


async def test_what_was_refused_and_is_as_it_was_is_forgotten(account: TimeTapAccount) -> None:
    memory, (_, action) = Memos(), a_trigger(account)
    refused = Fault(kind=Kind.STATUS, status=422, method="POST", path="/eventAction", times=None)
    done = await switched_off(account, SwitchKind.ACTION, action, memory, refused)
    assert done.error is not None
    assert memory.kept == {}
