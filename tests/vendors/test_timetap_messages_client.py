"""What TimeTap is asked about messages, how "no such thing" is told from other answers, and that nothing can mail anybody."""

import ast
import inspect
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import calrelay
from calrelay.errors import NotFound, RequestRejected, ResponseInvalid, VendorUnavailable
from calrelay.simulators.faults import Fault, Kind
from calrelay.simulators.timetap.events import a_definition_body, an_action_body
from calrelay.simulators.timetap.settings import DefinitionShape, UnknownId
from calrelay.simulators.timetap.templates import TRIGGER, a_template_body
from calrelay.vendors.timetap import mailing_client
from calrelay.vendors.timetap.mailing_client import TimeTapMailingClient
from calrelay.vendors.timetap.messages_client import TimeTapMessagesClient
from tests.vendors.timetap_account import TimeTapAccount, open_account

SOURCES = sorted(Path(calrelay.__file__).parent.rglob("*.py"))
MAILING = mailing_client.__name__.rpartition(".")[2]


@pytest.fixture
async def account() -> AsyncIterator[TimeTapAccount]:
    async with open_account() as account:
        yield account


def a_client(account: TimeTapAccount) -> TimeTapMessagesClient:
    return TimeTapMessagesClient(account.http, now=account.sim.clock.now)


def a_trigger(account: TimeTapAccount) -> tuple[str, str]:
    """Add a time trigger with one mail to the client; return the ids of definition and action."""
    events, templates = account.sim.stores.events, account.sim.stores.templates
    definition = events.save_definition(a_definition_body(3, -24, "day before"))["eventDefnId"]
    template = templates.create(a_template_body(TRIGGER))["emailTemplateId"]
    return str(definition), str(events.save_action(an_action_body(definition, template))["eventActionId"])


# --- nobody is mailed ---


def imports_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named = {f"{node.module}.{alias.name}" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    return plain | named | {name.rpartition(".")[0] for name in named}


def names_in(path: Path) -> set[str]:
    """Return every attribute and every text of a file, so that getattr and importlib are seen, too."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return texts | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def test_no_part_of_the_program_reaches_the_calls_that_mail_people() -> None:
    """They stand in a file of their own, which nothing imports or names in any other way; without it there is no way to either of them."""
    others = [path for path in SOURCES if path.stem != MAILING and "simulators" not in path.parts]
    calls = {name for name in vars(TimeTapMailingClient) if name.startswith("invite_")}
    assert calls == {"invite_clients", "invite_staff"}
    for path in others:
        assert mailing_client.__name__ not in imports_of(path), path
        named = names_in(path)
        assert not named & {*calls, "_invite"}, path
        assert not [
            name
            for name in named
            if name.endswith(f".{MAILING}") or name.startswith(("/invitationCampaign/client", "/invitationCampaign/staff"))
        ], path


def test_the_client_that_the_program_uses_cannot_mail() -> None:
    posting = [name for name, _ in inspect.getmembers(TimeTapMessagesClient, inspect.iscoroutinefunction) if "invite" in name]
    assert posting == []


async def test_inviting_mails_which_is_why_it_is_walled_off(account: TimeTapAccount) -> None:
    client = TimeTapMailingClient(account.http, now=account.sim.clock.now)
    campaign = await client.invite_clients(["9100001", "9100002"], {"businessId": 55500, "email": {}, "emailTemplateId": 1})
    assert campaign is not None
    assert len(account.sim.mails.sent) == 2


@pytest.mark.parametrize("ids", [[], ["client"], ["1/../2"]])
async def test_nobody_is_invited_by_anything_but_a_number(account: TimeTapAccount, ids: list[str]) -> None:
    client = TimeTapMailingClient(account.http, now=account.sim.clock.now)
    with pytest.raises(ValueError, match="number"):
        await client.invite_staff(ids, {})
    assert account.sim.journal.entries == []


async def test_inviting_is_never_repeated(account: TimeTapAccount) -> None:
    client = TimeTapMailingClient(account.http, now=account.sim.clock.now)
    account.sim.faults.add(Fault(kind=Kind.STATUS, status=503, path="/invitationCampaign/client", times=None))
    with pytest.raises(VendorUnavailable):
        await client.invite_clients(["9100001"], {"businessId": 55500, "email": {}})
    assert len([entry for entry in account.sim.journal.entries if "/invitationCampaign/" in entry.path]) == 1


# --- reading ---


@pytest.mark.parametrize("shape", list(DefinitionShape))
async def test_a_definition_comes_as_an_object_or_as_a_list_of_one(account: TimeTapAccount, shape: DefinitionShape) -> None:
    account.sim.settings.definition_shape = shape
    definition, _ = a_trigger(account)
    assert (await a_client(account).definition(definition)).event_defn_id == definition
    with pytest.raises(NotFound):
        await a_client(account).definition("9")


@pytest.mark.parametrize("answer", [UnknownId.NOT_FOUND, UnknownId.BAD_REQUEST])
@pytest.mark.parametrize("ask", [TimeTapMessagesClient.definition, TimeTapMessagesClient.template, TimeTapMessagesClient.invitation])
async def test_an_unknown_id_is_not_found(account: TimeTapAccount, answer: UnknownId, ask: Callable[..., Any]) -> None:
    account.sim.settings.unknown_id = answer
    with pytest.raises(NotFound):
        await ask(a_client(account), "9")


async def test_an_object_where_a_list_was_promised_is_a_list_of_one(account: TimeTapAccount) -> None:
    account.sim.faults.add(Fault(kind=Kind.STATUS, status=200, body='{"eventActionId": 7}', path="/eventAction"))
    [action] = await a_client(account).actions_of("1")
    assert action.event_action_id == "7"


@pytest.mark.parametrize("body", ['"later"', "3"])
async def test_what_is_neither_is_refused(account: TimeTapAccount, body: str) -> None:
    account.sim.faults.add(Fault(kind=Kind.STATUS, status=200, body=body, path="/eventAction", times=None))
    with pytest.raises(ResponseInvalid):
        await a_client(account).actions_of("1")


async def test_an_empty_body_is_asked_for_again(account: TimeTapAccount) -> None:
    definition, action = a_trigger(account)
    account.sim.faults.add(Fault(kind=Kind.EMPTY, path="/eventAction", times=3))
    assert [found.event_action_id for found in await a_client(account).actions_of(definition)] == [action]


async def test_campaigns_come_page_by_page(account: TimeTapAccount) -> None:
    account.sim.stores.invitations.add_campaign({"description": "x", "professionalId": 61001})
    client = a_client(account)
    assert [len(await client.campaigns(page)) for page in (1, 2)] == [1, 0]
    assert await client.campaigns(professional_id="7") == []


# --- writing ---


async def test_an_action_is_switched_off_by_its_own_object_and_no_second_is_made(account: TimeTapAccount) -> None:
    definition, _ = a_trigger(account)
    client = a_client(account)
    [action] = await client.actions_of(definition)
    await client.save_action(action.to_json(active=False))
    assert await client.actions_of(definition) == []
    assert len(account.sim.stores.events.actions) == 1


async def test_changing_is_repeated_after_a_failure_and_creating_is_not(account: TimeTapAccount) -> None:
    definition, _ = a_trigger(account)
    client = a_client(account)
    [action] = await client.actions_of(definition)
    account.sim.faults.add(Fault(kind=Kind.STATUS, status=503, path="/live/eventAction", times=1))
    await client.save_action(action.to_json())
    account.sim.faults.add(Fault(kind=Kind.STATUS, status=503, path="/live/eventAction", times=1))
    new = {key: value for key, value in action.to_json().items() if key != "eventActionId"}
    with pytest.raises(VendorUnavailable):
        await client.save_action(new)
    assert len(account.sim.stores.events.actions) == 1


async def test_what_a_writing_call_answers_may_be_unreadable(account: TimeTapAccount) -> None:
    definition, _ = a_trigger(account)
    client = a_client(account)
    [action] = await client.actions_of(definition)
    account.sim.faults.add(Fault(kind=Kind.EMPTY, path="/live/eventAction"))
    assert await client.save_action(action.to_json()) is None


async def test_a_refused_body_is_rejected(account: TimeTapAccount) -> None:
    with pytest.raises(RequestRejected):
        await a_client(account).save_action({"eventActionId": 1})


async def test_a_deleted_definition_is_gone_from_reads(account: TimeTapAccount) -> None:
    definition, _ = a_trigger(account)
    client = a_client(account)
    await client.delete_definition(definition)
    assert await client.definitions_of_type(3) == []
    with pytest.raises(NotFound):
        await client.delete_definition(definition)


def test_no_call_about_messages_names_an_appointment_to_write() -> None:
    text = inspect.getsource(inspect.getmodule(TimeTapMessagesClient))  # type: ignore[arg-type] # it has one
    assert "/appointments" not in text
