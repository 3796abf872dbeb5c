"""What `messages` tells over several accounts."""

from calrelay.cli.messages_told import document_of
from calrelay.domain.link import ExternalId
from calrelay.domain.messages import messages_of
from calrelay.engine.messages import EventMessages, Overlap
from tests.fakes.memory_messenger import a_trigger, some_rules
from tests.fakes.memory_source import NOW
from tests.fakes.studio import a_booking


def an_account(name: str, *guests: int) -> Overlap:
    """An account that reminds each of these guests of one event."""
    found = Overlap(account=name, rules=some_rules(a_trigger()))
    for guest in guests:
        event = a_booking(guest)
        found.events.append(
            EventMessages(
                pipeline=name,
                external_id=ExternalId(f"tt-{guest}"),
                event=event,
                is_messaged=True,
                messages=tuple(messages_of(event, found.rules)),
                now=NOW,
            )
        )
    return found


def test_a_guest_of_two_accounts_is_one_guest() -> None:
    document = document_of([an_account("north", 1, 2), an_account("south", 2, 3)])
    assert len(document["messages"]) == 4
    assert all(message["doubled"] for message in document["messages"])
    assert document["guests_doubled"] == 3
