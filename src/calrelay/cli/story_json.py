"""The story of an event as `show.json` has it."""

from collections.abc import Sequence
from typing import Any

from calrelay.domain.entry import Entry
from calrelay.domain.event import Event
from calrelay.domain.link import Imprint, Link
from calrelay.domain.people import Participant
from calrelay.domain.plan import Decision, Delete, Skipped, Unchanged, Update
from calrelay.domain.words import iso
from calrelay.errors import CalrelayError
from calrelay.ports import Holding
from calrelay.service.story import Told, next_step


def document_of(external_id: str, told: Sequence[Told]) -> dict[str, Any]:
    """Return the stories of an event, one for each pipeline that has it."""
    return {"external_id": external_id, "stories": [_story(one) for one in told]}


def _story(told: Told) -> dict[str, Any]:
    story = told.story
    return {
        "pipeline": story.pipeline,
        "at": iso(story.at),
        "source": _event(story.event) if story.event else None,
        "source_error": _error(story.source_error or story.unmappable),
        "is_gone": story.is_gone,
        "standing": story.standing.value if story.standing else None,
        "standing_reason": story.standing_reason,
        "decision": _decision(story.decision) if story.decision else None,
        "wanted": _entry(story.entry) if story.entry else None,
        "target": _holding(story.holding) if story.holding else None,
        "target_error": _error(story.target_error),
        "link": _link(told.link) if told.is_known else None,
        "history": [{"at": iso(one.at), "external_id": one.external_id, "what": one.what, "detail": one.detail} for one in story.history],
        "next": next_step(told),
    }


def _event(event: Event) -> dict[str, Any]:
    return {
        "source_id": event.source_id,
        "status": event.status,
        "lifecycle": event.lifecycle.value,
        "start": iso(event.start),
        "end": iso(event.end),
        "zone": event.zone,
        "title": event.title,
        "location": event.location,
        "participants": [_person(person) for person in event.participants],
        "facets": {name: sorted(values) for name, values in event.facets.items()},
        "notes": list(event.notes),
        "reasoning": list(event.reasoning),
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "calendar": entry.calendar,
        "title": entry.title,
        "start": entry.start.isoformat(),
        "end": entry.end.isoformat(),
        "zone": entry.zone,
        "location": entry.location,
        "content": entry.content,
        "participants": [_person(person) for person in entry.participants],
        "custom_data": dict(entry.custom_data),
    }


def _holding(holding: Holding) -> dict[str, Any]:
    people = holding.participants
    return {
        "target_id": holding.target_id,
        "external_id": holding.external_id,
        "calendar": holding.calendar,
        "is_deleted": holding.is_deleted,
        "start": iso(holding.start),
        "end": iso(holding.end),
        "title": holding.title,
        "location": holding.location,
        "content": holding.content,
        "participants": None if people is None else [{"name": p.name, "email": p.email, "phone": p.phone} for p in people],
    }


def _link(link: Link) -> dict[str, Any]:
    return {
        "external_id": link.external_id,
        "source_id": link.source_id,
        "target_id": link.target_id,
        "generation": link.generation,
        "state": link.state.value,
        "reason": link.reason,
        "remedy": link.remedy,
        "messages": link.mode.value,
        "backfilled": link.backfilled,
        "hold": link.hold,
        "attempts": link.attempts,
        "since": iso(link.since),
        "wanted": _imprint(link.wanted),
        "accepted": _imprint(link.accepted),
    }


def _imprint(imprint: Imprint | None) -> dict[str, Any] | None:
    return {"calendar": imprint.calendar, "start": iso(imprint.start), "end": iso(imprint.end)} if imprint else None


def _decision(decision: Decision) -> dict[str, Any]:
    document: dict[str, Any] = {"what": type(decision).__name__.lower()}
    match decision:
        case Update(fields=fields):
            document["fields"] = sorted(fields)
        case Delete(reason=reason) | Unchanged(reason=reason) | Skipped(reason=reason):
            document["reason"] = reason
        case _:
            pass
    return document


def _person(person: Participant) -> dict[str, Any]:
    return {"name": person.name, "role": person.role.value, "email": person.email, "phone": person.phone}


def _error(error: CalrelayError | None) -> dict[str, str] | None:
    return {"kind": error.kind, "message": error.message, "remedy": error.remedy} if error else None
