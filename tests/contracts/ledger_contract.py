"""What every ledger keeps, whatever it is made of. A subclass gives the `ledger` fixture."""

import dataclasses
from abc import abstractmethod
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Protocol

import pytest

from calrelay.domain.event import SourceId
from calrelay.domain.link import Basis, ExternalId, Field, Link, MessageMode, State, TargetId
from calrelay.errors import Busy, StateError
from calrelay.ports import DELETED, DELETED_AS_APPROVED, Claim, EntryAt, Happening, Hold, Ledger, PipelineRecord
from tests.fakes.links import HOUR, NOON, a_happening, a_hold, a_link, a_new_link, a_pass, an_imprint, an_item


class OperatorsLedger(Ledger, Protocol):
    """The port, and what only the command line asks for."""

    def forget_pipeline(self, name: str) -> None: ...
    def rename_pipeline(self, old: str, new: str) -> None: ...
    def all_links(self, pipeline: str) -> Iterator[Link]: ...
    def hold(self, hold_id: str) -> Hold | None: ...
    def happened_since(self, pipeline: str, what: Collection[str], since: datetime, *, limit: int) -> list[Happening]: ...


def numbers(links: object) -> list[str]:
    """The source ids of links, in their order."""
    return [link.source_id for link in links]  # type: ignore[attr-defined]


class LedgerContract:
    @pytest.fixture
    @abstractmethod
    def ledger(self) -> OperatorsLedger | Iterator[OperatorsLedger]:
        """A ledger that remembers nothing yet."""

    # --- the installation and its pipelines ---

    def test_the_hash_key_stays_the_same(self, ledger: OperatorsLedger) -> None:
        assert ledger.hash_key() == ledger.hash_key()
        assert len(ledger.hash_key()) == 32

    def test_an_unknown_pipeline_has_a_new_record(self, ledger: OperatorsLedger) -> None:
        assert ledger.pipeline("venue") == PipelineRecord(name="venue")

    def test_what_is_noted_of_a_pipeline_leaves_the_rest_as_another_process_made_it(self, ledger: OperatorsLedger) -> None:
        """A pause during a pass, and a first load that ends during a decision, are not lost."""
        ledger.note_pipeline("venue", is_paused=True)
        ledger.note_pipeline("venue", first_complete_at=NOON, last_complete_at=NOON, last_read_at=NOON)
        paused = PipelineRecord(name="venue", is_paused=True, first_complete_at=NOON, last_complete_at=NOON, last_read_at=NOON)
        assert ledger.pipeline("venue") == paused
        ledger.note_pipeline("venue", is_paused=False)
        ledger.note_pipeline("venue", last_read_at=NOON + HOUR)
        assert ledger.pipeline("venue") == dataclasses.replace(paused, is_paused=False, last_read_at=NOON + HOUR)

    def test_a_first_load_is_over_once(self, ledger: OperatorsLedger) -> None:
        ledger.note_pipeline("venue", first_complete_at=NOON)
        ledger.note_pipeline("venue", first_complete_at=NOON + HOUR, last_complete_at=NOON + HOUR)
        assert ledger.pipeline("venue") == PipelineRecord(name="venue", first_complete_at=NOON, last_complete_at=NOON + HOUR)

    # --- links ---

    def test_every_field_of_a_link_comes_back(self, ledger: OperatorsLedger) -> None:
        link = Link(
            pipeline="venue",
            target="reminders",
            source_id=SourceId("55120"),
            base_id=ExternalId("ts-55120"),
            generation=3,
            target_id=TargetId("9001"),
            state=State.HELD,
            reason="held: deletes",
            remedy="calrelay approve venue-deletes-1",
            mode=MessageMode.NO_BOOKING,
            backfilled=True,
            source_hash="c0ffee",
            basis=Basis(zone_data="2026f", mapping="7", config="abc"),
            wanted=an_imprint(NOON, mark="w"),
            accepted=an_imprint(NOON + HOUR, length=2 * HOUR, mark="a"),
            hold="venue-deletes-1",
            until_changed=True,
            until_shown=True,
            let_in=True,
            attempts=4,
            since=NOON + timedelta(microseconds=1),
        )
        assert not [f.name for f in dataclasses.fields(Link) if f.default == getattr(link, f.name)], "a default would prove nothing"
        ledger.store([link])
        assert ledger.links("venue", [link.source_id]) == {link.source_id: link}

    def test_a_link_that_wants_and_holds_nothing_comes_back(self, ledger: OperatorsLedger) -> None:
        link = a_link(wanted=None, accepted=None, target_id=None, since=None)
        ledger.store([link])
        assert ledger.links("venue", [link.source_id]) == {link.source_id: link}

    def test_fields_nobody_knows_stay_unknown(self, ledger: OperatorsLedger) -> None:
        """An adopted entry knows the hashes of some fields only."""
        partly = dataclasses.replace(an_imprint(), hashes={Field.TITLE: "a-title"})
        ledger.store([a_link(accepted=partly), a_link(2, accepted=dataclasses.replace(partly, hashes={}))])
        found = ledger.links("venue", [SourceId("1"), SourceId("2")])
        assert [found[SourceId(n)].accepted for n in "12"] == [partly, dataclasses.replace(partly, hashes={})]
        assert all(isinstance(field, Field) for field in partly.hashes)

    def test_instants_come_back_in_utc(self, ledger: OperatorsLedger) -> None:
        vancouver = timezone(timedelta(hours=-7))
        ledger.store([a_link(since=NOON.astimezone(vancouver))])
        since = ledger.links("venue", [SourceId("1")])[SourceId("1")].since
        assert since == NOON
        assert since.tzinfo is not None

    def test_links_are_asked_for_by_thousands(self, ledger: OperatorsLedger) -> None:
        ledger.store(a_link(n) for n in range(1201))
        found = ledger.links("venue", [SourceId(str(n)) for n in range(5000)])
        assert len(found) == 1201
        assert found[SourceId("1200")] == a_link(1200)

    def test_no_ids_give_no_links(self, ledger: OperatorsLedger) -> None:
        ledger.store([a_link()])
        assert ledger.links("venue", []) == {}

    def test_storing_again_replaces(self, ledger: OperatorsLedger) -> None:
        ledger.store([a_new_link()])
        ledger.store([a_link()])
        assert list(ledger.all_links("venue")) == [a_link()]

    def test_settling_takes_what_was_wanted_for_accepted_and_leaves_the_rest(self, ledger: OperatorsLedger) -> None:
        sent = a_new_link(state=State.SENDING, attempts=2, hold="h-1", source_hash="abc")
        other = a_new_link(source_id=SourceId("2"), base_id=ExternalId("ts-2"), state=State.SENDING)
        ledger.store([sent, other])
        ledger.settle("venue", {sent.source_id: TargetId("9001")}, [a_happening(external_id=sent.external_id)])
        settled = dataclasses.replace(sent, state=State.SETTLED, accepted=sent.wanted, target_id=TargetId("9001"), attempts=0, hold=None)
        assert list(ledger.all_links("venue")) == [settled, other]
        assert len(ledger.history("venue", sent.base_id)) == 1

    def test_a_row_is_known_from_its_settling_until_its_link_is_stored(self, ledger: OperatorsLedger) -> None:
        sent = a_new_link(1, state=State.SENDING)
        ledger.store([sent, a_new_link(2, state=State.SENDING)])
        ids = {SourceId("1"): TargetId("9001"), SourceId("2"): TargetId("9002")}
        ledger.settle("venue", ids, [], {SourceId("1"): "as it came"})
        assert ledger.known_rows("venue", [*ids, SourceId("3")]) == {SourceId("1"): "as it came"}
        assert ledger.known_rows("terrace", ids) == {}
        ledger.store(ledger.links("venue", [SourceId("1")]).values())
        assert ledger.known_rows("venue", ids) == {}

    def test_a_row_is_noted_of_a_settled_link_that_rests_on_the_same_source(self, ledger: OperatorsLedger) -> None:
        ledger.store([a_link(1), a_link(2, source_hash="another"), a_link(3, state=State.READY), a_link(4, state=State.IGNORED)])
        ids = [SourceId(str(number)) for number in range(1, 6)]
        ledger.note_rows("venue", dict.fromkeys(ids, ("c0ffee", "as it came")))
        assert ledger.known_rows("venue", ids) == {SourceId("1"): "as it came"}
        ledger.note_rows("venue", {SourceId("1"): ("c0ffee", "as it came later")})
        assert ledger.known_rows("venue", ids) == {SourceId("1"): "as it came later"}
        ledger.settle("venue", {}, [])
        assert ledger.known_rows("venue", []) == {}

    def test_a_pipeline_that_is_renamed_still_knows_its_rows(self, ledger: OperatorsLedger) -> None:
        ledger.store([a_link(1)])
        ledger.note_rows("venue", {SourceId("1"): ("c0ffee", "as it came")})
        ledger.rename_pipeline("venue", "terrace")
        assert ledger.known_rows("terrace", [SourceId("1")]) == {SourceId("1"): "as it came"}
        ledger.forget_pipeline("terrace")
        assert ledger.known_rows("terrace", [SourceId("1")]) == {}

    def test_links_of_other_pipelines_are_not_seen(self, ledger: OperatorsLedger) -> None:
        ledger.store([a_link(), a_link(pipeline="terrace", base_id=ExternalId("t-1"))])
        assert ledger.links("venue", [SourceId("1")]) == {SourceId("1"): a_link()}
        assert ledger.count_live("venue") == 1
        assert ledger.count_states("terrace") == {State.SETTLED: 1}

    def test_links_in_states_come_soonest_start_first(self, ledger: OperatorsLedger) -> None:
        """The wanted start counts, else the accepted one; an event of unknown time comes last."""
        ledger.store(
            [
                a_new_link(1, wanted=an_imprint(NOON + 3 * HOUR)),
                a_link(2, state=State.READY, wanted=None, accepted=an_imprint(NOON + 2 * HOUR)),
                a_new_link(3, state=State.QUARANTINED, wanted=None),
                a_link(4, state=State.READY, wanted=an_imprint(NOON + HOUR), accepted=an_imprint(NOON + 9 * HOUR)),
                a_link(5, start=NOON),
            ]
        )
        assert numbers(ledger.links_in("venue", [State.READY, State.QUARANTINED])) == ["4", "2", "1", "3"]
        assert ledger.links_in("venue", []) == []

    def test_live_links_are_those_whose_accepted_entry_ends_later(self, ledger: OperatorsLedger) -> None:
        ledger.store(
            [
                a_link(1, accepted=an_imprint(NOON + 2 * HOUR)),
                a_link(2, accepted=an_imprint(NOON - HOUR)),  # ends at noon exactly
                a_link(3, accepted=an_imprint(NOON - HOUR, length=2 * HOUR)),
                a_new_link(4, state=State.SENDING),
                a_link(5, state=State.RELEASED, wanted=None, accepted=an_imprint(NOON + HOUR)),
            ]
        )
        assert numbers(ledger.live_links("venue", ending_after=NOON)) == ["3", "5", "1"]
        assert list(ledger.live_starts("venue", ending_after=NOON)) == [
            (SourceId("3"), NOON - HOUR, State.SETTLED),
            (SourceId("5"), NOON + HOUR, State.RELEASED),
            (SourceId("1"), NOON + 2 * HOUR, State.SETTLED),
        ]

    def test_entries_at_an_account_are_those_of_any_pipeline_that_are_or_may_be_there_beyond_an_instant(
        self, ledger: OperatorsLedger
    ) -> None:
        ledger.store(
            [
                a_link(1, accepted=an_imprint(NOON + 2 * HOUR), generation=2),
                a_link(2, accepted=an_imprint(NOON - HOUR)),  # ends at noon exactly
                a_new_link(3, state=State.SENDING),
                a_new_link(4, state=State.READY),
                a_link(5, pipeline="garden", state=State.RELEASED, wanted=None, accepted=an_imprint(NOON + HOUR), target_id=None),
                a_link(6, target="elsewhere"),
                a_link(7, state=State.SENDING, accepted=an_imprint(NOON - HOUR)),
            ]
        )
        assert ledger.entries_at("reminders", ending_after=NOON) == [
            EntryAt(pipeline="garden", external_id=ExternalId("ts-5"), target_id=None, is_let_go=True),
            EntryAt(pipeline="venue", external_id=ExternalId("ts-1.2"), target_id=TargetId("9001"), is_let_go=False),
            EntryAt(pipeline="venue", external_id=ExternalId("ts-3"), target_id=None, is_let_go=False),
        ]
        assert ledger.entries_at("nowhere", ending_after=NOON) == []

    def test_live_links_may_be_stored_while_they_are_read(self, ledger: OperatorsLedger) -> None:
        ledger.store(a_link(n) for n in range(1, 1201))
        seen = []
        for link in ledger.live_links("venue", ending_after=NOON):
            seen.append(link.source_id)
            ledger.store([dataclasses.replace(link, accepted=an_imprint(NOON + 9999 * HOUR))])
        assert seen == [str(n) for n in range(1, 1201)]

    def test_all_links_come_once_each(self, ledger: OperatorsLedger) -> None:
        ledger.store(a_link(n) for n in range(1000))
        assert sorted(int(link.source_id) for link in ledger.all_links("venue")) == list(range(1000))

    def test_a_create_in_flight_counts_as_live(self, ledger: OperatorsLedger) -> None:
        ledger.store([a_link(1), a_new_link(2, state=State.SENDING), a_link(3, state=State.SENDING), a_new_link(4)])
        assert ledger.count_live("venue") == 3
        assert ledger.count_states("venue") == {State.SETTLED: 1, State.SENDING: 2, State.READY: 1}
        assert ledger.count_states("venue", [State.SENDING, State.HELD]) == {State.SENDING: 2}

    def test_a_link_is_found_by_the_external_id_of_any_generation(self, ledger: OperatorsLedger) -> None:
        ledger.store([a_link(1, generation=2), a_link(12)])
        for external_id in ("ts-1", "ts-1.2", "ts-1.3"):
            assert numbers(ledger.link_by_external_id(ExternalId(external_id))) == ["1"]
        assert ledger.link_by_external_id(ExternalId("ts-9")) == []

    # --- claims ---

    def test_a_claim_follows_its_link(self, ledger: OperatorsLedger) -> None:
        """From the first intention to the accepted delete, whose link carries the generation that comes next."""
        steps = [
            (a_new_link(), Claim(pipeline="venue", generation=1, is_free=False)),
            (a_new_link(state=State.SENDING), Claim(pipeline="venue", generation=1, is_free=False)),
            (a_link(), Claim(pipeline="venue", generation=1, is_free=False)),
            (a_link(state=State.SENDING, wanted=None), Claim(pipeline="venue", generation=1, is_free=False)),
            (a_link(wanted=None, accepted=None, generation=2), Claim(pipeline="venue", generation=2, is_free=True)),
        ]
        for link, claim in steps:
            ledger.store([link])
            assert ledger.claims("reminders", [link.base_id]) == {link.base_id: claim}

    @pytest.mark.parametrize(
        ("link", "is_free"),
        [
            (a_new_link(state=State.WAITING), False),
            (a_new_link(state=State.HELD), False),
            (a_new_link(state=State.QUARANTINED), True),
            (a_new_link(state=State.IGNORED), True),
            (a_new_link(state=State.READY, wanted=None), True),
            (a_link(state=State.QUARANTINED), False),
            (a_link(state=State.RELEASED), False),
        ],
        ids=lambda value: f"{value.state}" if isinstance(value, Link) else None,
    )
    def test_an_id_is_free_when_nothing_is_there_and_nothing_is_on_its_way(
        self, ledger: OperatorsLedger, link: Link, is_free: bool
    ) -> None:
        ledger.store([link])
        assert ledger.claims("reminders", [link.base_id])[link.base_id].is_free is is_free

    def test_claims_are_per_target_account(self, ledger: OperatorsLedger) -> None:
        ledger.store([a_link(), a_link(pipeline="other", target="second", generation=5)])
        assert ledger.claims("second", [ExternalId("ts-1"), ExternalId("ts-2")]) == {
            ExternalId("ts-1"): Claim(pipeline="other", generation=5, is_free=False)
        }

    def test_an_id_in_use_is_refused_to_another_pipeline_by_both_names(self, ledger: OperatorsLedger) -> None:
        ledger.store([a_link()])
        with pytest.raises(Busy, match=r"ts-1 .*venue.*terrace"):
            ledger.store([a_link(2, pipeline="terrace"), a_new_link(pipeline="terrace")], [a_happening(2, pipeline="terrace")])
        assert list(ledger.all_links("terrace")) == []
        assert ledger.history("terrace", ExternalId("ts-2")) == []
        assert ledger.claims("reminders", [ExternalId("ts-1")])[ExternalId("ts-1")].pipeline == "venue"

    def test_a_free_id_is_taken_over_and_its_old_link_does_not_take_it_back(self, ledger: OperatorsLedger) -> None:
        gone = a_link(wanted=None, accepted=None, generation=2)
        ledger.store([gone])
        ledger.store([a_new_link(pipeline="terrace", generation=2)])
        ledger.store([dataclasses.replace(gone, reason="seen again")])
        assert ledger.claims("reminders", [gone.base_id]) == {gone.base_id: Claim(pipeline="terrace", generation=2, is_free=False)}

    def test_a_generation_never_falls(self, ledger: OperatorsLedger) -> None:
        ledger.store([a_link(wanted=None, accepted=None, generation=4)])
        ledger.store([a_new_link(generation=1)])
        assert ledger.claims("reminders", [ExternalId("ts-1")])[ExternalId("ts-1")].generation == 4

    def test_many_claims_are_asked_for_at_once(self, ledger: OperatorsLedger) -> None:
        ledger.store(a_link(n) for n in range(1100))
        assert len(ledger.claims("reminders", [ExternalId(f"ts-{n}") for n in range(2000)])) == 1100

    # --- history and passes ---

    def test_history_is_told_oldest_first_over_all_generations(self, ledger: OperatorsLedger) -> None:
        lines = [a_happening(what="created"), a_happening(what=DELETED), a_happening(what="created", external_id=ExternalId("ts-1.2"))]
        for line in lines:
            ledger.store([], [line])
        ledger.store([], [a_happening(2), a_happening(pipeline="terrace")])
        assert ledger.history("venue", ExternalId("ts-1")) == lines

    def test_history_keeps_the_last_two_hundred_lines_of_an_event(self, ledger: OperatorsLedger) -> None:
        ledger.store([], [a_happening(detail=str(n)) for n in range(205)])
        ledger.store([], [a_happening(2), a_happening(detail="205")])
        assert [line.detail for line in ledger.history("venue", ExternalId("ts-1"))] == [str(n) for n in range(6, 206)]
        assert len(ledger.history("venue", ExternalId("ts-2"))) == 1

    def test_deletes_count_from_an_instant_on_unless_they_were_approved(self, ledger: OperatorsLedger) -> None:
        ledger.store(
            [],
            [
                a_happening(1, DELETED, at=NOON),
                a_happening(2, DELETED, at=NOON + HOUR),
                a_happening(3, DELETED_AS_APPROVED, at=NOON + HOUR),
                a_happening(4, "updated", at=NOON + HOUR),
                a_happening(5, DELETED, at=NOON + HOUR, pipeline="terrace"),
            ],
        )
        assert ledger.deletes_since("venue", NOON) == 1
        assert ledger.deletes_since("venue", NOON - HOUR) == 2

    def test_what_happened_of_some_kinds_comes_newest_first_and_counted(self, ledger: OperatorsLedger) -> None:
        lines = [a_happening(n, "created", at=NOON + n * HOUR) for n in range(1, 4)]
        others = [
            a_happening(5, "created", at=NOON),
            a_happening(6, "held", at=NOON + HOUR),
            a_happening(7, "created", at=NOON + HOUR, pipeline="terrace"),
        ]
        ledger.store([], [*lines, a_happening(4, "updated", at=NOON + 4 * HOUR), *others])
        assert ledger.happened_since("venue", {"created"}, NOON, limit=2) == [lines[2], lines[1]]
        assert ledger.count_happened("venue", {"created", "updated"}, NOON) == {"created": 3, "updated": 1}

    def test_passes_come_newest_first(self, ledger: OperatorsLedger) -> None:
        for number in range(3):
            ledger.record_pass(a_pass(counts={"created": number}))
        ledger.record_pass(a_pass(pipeline="terrace"))
        assert ledger.passes("venue", limit=2) == [a_pass(counts={"created": 2}), a_pass(counts={"created": 1})]

    def test_requests_are_summed_by_account_over_all_passes_that_ended_since(self, ledger: OperatorsLedger) -> None:
        for minute in range(120):  # far more than `passes` returns
            ledger.record_pass(a_pass(started_at=NOON + timedelta(minutes=minute), seconds=60, requests={"hall": 2, "reminders": 1}))
        ledger.record_pass(a_pass(pipeline="terrace", started_at=NOON, seconds=7200, requests={"terrace": 40, "reminders": 5}))
        assert ledger.asked_since(NOON + timedelta(minutes=10)) == {"hall": 2 * 111, "reminders": 111 + 5, "terrace": 40}
        assert ledger.asked_since(NOON + 3 * HOUR) == {}

    # --- holds ---

    def test_holds_come_back_oldest_first_with_their_items_in_order(self, ledger: OperatorsLedger) -> None:
        older = a_hold("b", an_item(3, source_hash="c0ffee", people=7), an_item(1, source_hash=""), an_item(2))
        newer = a_hold("a", created_at=NOON + HOUR, earliest=None)
        other = a_hold("c", pipeline="terrace", created_at=NOON - HOUR)
        ledger.save_holds("venue", [newer, older])
        ledger.save_holds("terrace", [other])
        assert ledger.holds("venue") == [older, newer]
        assert ledger.holds() == [other, older, newer]
        assert ledger.hold("a") == newer
        assert ledger.hold("nobody's") is None

    def test_holds_not_named_are_closed_and_items_not_named_dissolve(self, ledger: OperatorsLedger) -> None:
        ledger.save_holds("venue", [a_hold("a", an_item(1), an_item(2)), a_hold("b")])
        ledger.save_holds("venue", [a_hold("a", an_item(2))])
        assert ledger.holds() == [a_hold("a", an_item(2))]
        ledger.save_holds("venue", [])
        assert ledger.holds() == []

    def test_an_approval_marks_the_items_of_the_holds_it_names(self, ledger: OperatorsLedger) -> None:
        ledger.save_holds("venue", [a_hold("a", an_item(1), an_item(2)), a_hold("b", an_item(3))])
        assert ledger.approve([a_hold("gone")], NOON) == []
        approved = a_hold("a", an_item(1, approved_at=NOON), an_item(2, approved_at=NOON))
        assert ledger.approve([a_hold("a", an_item(1), an_item(2))], NOON) == [approved]
        assert ledger.holds("venue") == [approved, a_hold("b", an_item(3))]
        assert len(ledger.approve(ledger.holds("venue"), NOON + HOUR)) == 2
        assert {item.approved_at for hold in ledger.holds() for item in hold.items} == {NOON + HOUR}

    def test_an_approval_leaves_alone_what_came_or_changed_since_the_hold_was_read(self, ledger: OperatorsLedger) -> None:
        read = a_hold("a", an_item(1), an_item(2))
        ledger.save_holds("venue", [a_hold("a", an_item(1), an_item(2, digest="delete|other"), an_item(3))])
        [now] = ledger.approve([read], NOON)
        assert [item.approved_at for item in now.items] == [NOON, None, None]
        assert ledger.history("venue", ExternalId("ts-3")) == []

    def test_what_was_shown_stays_known_while_passes_save_the_hold_anew(self, ledger: OperatorsLedger) -> None:
        ledger.save_holds("venue", [a_hold("a", an_item(1), an_item(2))])
        ledger.note_shown(ledger.holds("venue"), NOON)
        ledger.save_holds("venue", [a_hold("a", an_item(1), an_item(2, digest="delete|other"), an_item(3))])
        [hold] = ledger.holds("venue")
        assert (hold.shown_at, [item.shown_at for item in hold.items]) == (NOON, [NOON, None, None])

    def test_a_hold_keeps_what_it_tells_of_its_events(self, ledger: OperatorsLedger) -> None:
        item = an_item(start=NOON, zone="America/New_York", shift=-HOUR, shown_at=NOON)
        ledger.save_holds("venue", [a_hold("a", item, live=120, shown_at=NOON, earliest=NOON)])
        [hold] = ledger.holds("venue")
        assert (hold.items, hold.live, hold.shown_at, hold.zone) == ((item,), 120, NOON, "America/New_York")

    def test_an_approval_stands_in_the_history_of_each_event(self, ledger: OperatorsLedger) -> None:
        ledger.save_holds("venue", [a_hold("a")])
        ledger.approve([a_hold("a")], NOON)
        assert [line.what for line in ledger.history("venue", ExternalId("ts-1"))] == ["approved"]

    def test_a_decision_made_while_a_pass_is_at_work_survives_it(self, ledger: OperatorsLedger) -> None:
        """The pass read the holds before the operator decided, and saves them after."""
        ledger.save_holds("venue", [a_hold("a", an_item(1), an_item(2))])
        before = ledger.holds("venue")
        ledger.approve(before, NOON)
        ledger.save_holds("venue", before)
        assert [item.approved_at for item in ledger.holds("venue")[0].items] == [NOON, NOON]

    def test_a_changed_item_is_undecided_again(self, ledger: OperatorsLedger) -> None:
        ledger.save_holds("venue", [a_hold("a")])
        ledger.approve([a_hold("a")], NOON)
        ledger.save_holds("venue", [a_hold("a", an_item(digest="delete|other"))])
        assert ledger.holds("venue")[0].items[0].approved_at is None

    def test_holds_and_the_links_that_tell_of_them_are_stored_together_or_not_at_all(self, ledger: OperatorsLedger) -> None:
        ledger.store([a_link(1, pipeline="terrace")])
        with pytest.raises(Busy):
            ledger.save_holds("venue", [a_hold()], [a_link(1)], [a_happening()])
        assert (ledger.holds("venue"), ledger.links("venue", [SourceId("1")])) == ([], {})
        ledger.save_holds("venue", [a_hold()], [a_link(2)], [a_happening()])
        assert [link.source_id for link in ledger.all_links("venue")] == ["2"]
        assert ledger.holds("venue") == [a_hold()]
        assert len(ledger.history("venue", a_happening().external_id)) == 1

    # --- what becomes of a request ---

    @pytest.mark.parametrize("state", [State.IGNORED, State.RELEASED])
    def test_what_the_operator_let_be_while_a_request_was_open_stays_so(self, ledger: OperatorsLedger, state: State) -> None:
        ledger.store([a_link(1, state=state), a_link(2, state=State.SENDING)])
        ledger.conclude("venue", [a_link(1, state=State.READY), a_link(2, state=State.READY)], [a_happening()])
        assert {link.source_id: link.state for link in ledger.all_links("venue")} == {"1": state, "2": State.READY}
        assert len(ledger.history("venue", a_happening().external_id)) == 1
        ledger.settle("venue", {SourceId("1"): TargetId("901"), SourceId("2"): TargetId("902")}, [], {SourceId("1"): "row"})
        assert {link.source_id: (link.state, link.target_id) for link in ledger.all_links("venue")} == {
            "1": (state, "901"),
            "2": (State.SETTLED, "902"),
        }
        assert ledger.known_rows("venue", [SourceId("1")]) == {}

    # --- memos ---

    def test_a_memo_is_kept_replaced_and_forgotten(self, ledger: OperatorsLedger) -> None:
        assert ledger.memo("calendar:Main Hall") is None
        ledger.save_memo("calendar:Main Hall", "1", NOON)
        ledger.save_memo("calendar:Main Hall", "2", NOON + HOUR)
        ledger.save_memo("calendar%", "3", NOON)
        assert ledger.memo("calendar:Main Hall") == ("2", NOON + HOUR)
        assert ledger.memos("calendar:") == {"calendar:Main Hall": ("2", NOON + HOUR)}
        ledger.save_memo("calendar:Main Hall", None, NOON)
        ledger.save_memo("calendar:Main Hall", None, NOON)
        assert ledger.memo("calendar:Main Hall") is None

    # --- whole pipelines ---

    def test_a_renamed_pipeline_keeps_everything(self, ledger: OperatorsLedger) -> None:
        ledger.note_pipeline("venue", first_complete_at=NOON)
        ledger.store([a_link()], [a_happening()])
        ledger.save_holds("venue", [a_hold()])
        ledger.record_pass(a_pass())
        ledger.rename_pipeline("venue", "hall")
        assert list(ledger.all_links("hall")) == [a_link(pipeline="hall")]
        assert ledger.claims("reminders", [ExternalId("ts-1")])[ExternalId("ts-1")].pipeline == "hall"
        assert ledger.history("hall", ExternalId("ts-1")) == [a_happening(pipeline="hall")]
        assert ledger.holds("hall") == [a_hold(pipeline="hall")]
        assert ledger.passes("hall") == [a_pass(pipeline="hall")]
        assert ledger.pipeline("hall") == PipelineRecord(name="hall", first_complete_at=NOON)
        assert ledger.pipeline("venue") == PipelineRecord(name="venue")
        assert list(ledger.all_links("venue")) == []

    def test_a_name_in_use_is_not_given_twice(self, ledger: OperatorsLedger) -> None:
        ledger.store([a_link(), a_link(2, pipeline="hall")])
        with pytest.raises(StateError, match="hall already"):
            ledger.rename_pipeline("venue", "hall")
        assert list(ledger.all_links("venue")) == [a_link()]

    def test_a_forgotten_pipeline_leaves_its_generations(self, ledger: OperatorsLedger) -> None:
        ledger.note_pipeline("venue", first_complete_at=datetime(2026, 1, 1, tzinfo=UTC))
        ledger.store([a_link(generation=2), a_link(2, pipeline="terrace")], [a_happening()])
        ledger.save_holds("venue", [a_hold()])
        ledger.record_pass(a_pass())
        ledger.forget_pipeline("venue")
        assert list(ledger.all_links("venue")) == []
        assert ledger.history("venue", ExternalId("ts-1")) == []
        assert (ledger.holds(), ledger.passes("venue")) == ([], [])
        assert ledger.pipeline("venue") == PipelineRecord(name="venue")
        claims = ledger.claims("reminders", [ExternalId("ts-1"), ExternalId("ts-2")])
        assert claims[ExternalId("ts-1")] == Claim(pipeline="venue", generation=2, is_free=True)
        assert claims[ExternalId("ts-2")] == Claim(pipeline="terrace", generation=1, is_free=False)
