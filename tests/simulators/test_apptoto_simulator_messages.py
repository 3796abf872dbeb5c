"""Apptoto simulator: whom it would message, when and why; what commands, moves and deletes change about it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from calrelay.simulators.apptoto.messages import AutoMessage, Channel, Purpose, read_rule
from calrelay.simulators.apptoto.settings import AfterDelete
from calrelay.simulators.apptoto.simulator import ApptotoSimulator
from calrelay.simulators.faults import SimulatedClock
from tests.simulators.apptoto_account import JANE, MAX, START, Account, open_account

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    """An account on 2026-11-21; its usual event begins twelve days later."""
    simulator = ApptotoSimulator(seed=7, clock=SimulatedClock(NOW))
    simulator.settings.requests_per_minute = None
    async with open_account(simulator) as opened:
        yield opened


def purposes(messages: list[AutoMessage]) -> list[str]:
    return [f"{m.purpose.value} {m.channel.value}" for m in messages]


class TestBookingMessages:
    async def test_creating_an_event_messages_its_people_at_once(self, account: Account) -> None:
        await account.written(account.row())
        sent = account.simulator.messages.sent
        assert [(m.external_id, m.to, m.purpose, m.channel) for m in sent] == [
            ("ts-1", "+12125550147", Purpose.BOOKING, Channel.SMS),
            ("ts-1", "jane@example.com", Purpose.BOOKING, Channel.EMAIL),
        ]
        assert NOW <= sent[0].at < NOW + MINUTE
        assert account.events.live_events()[0].participants[0].messaged

    async def test_updating_an_event_books_nobody_again(self, account: Account) -> None:
        await account.written(account.row())
        await account.written(account.row(title="Supper", start_time="2026-12-05T18:30:00-05:00"))
        assert len(account.simulator.messages.sent_for("ts-1")) == 2

    async def test_a_duplicate_books_people_twice(self, account: Account) -> None:
        await account.written(account.row())
        await account.written(account.row(), method="POST")
        assert len(account.simulator.messages.sent_for("ts-1")) == 4

    async def test_nobody_is_messaged_without_phone_and_email(self, account: Account) -> None:
        await account.written(account.row(participants=[{"name": "Jane Roe", "phone": "555"}]))
        assert account.simulator.messages.sent == []
        assert account.simulator.messages.would_send() == []

    async def test_people_on_the_stop_list_are_left_alone(self, account: Account) -> None:
        account.settings.stop_list = ("+12125550147",)
        await account.written(account.row())
        assert purposes(account.simulator.messages.sent) == ["booking email"]

    async def test_somebody_taken_out_of_the_texts_is_messaged_like_anybody(self, account: Account) -> None:
        row = account.row(content="caterer: (312) 555-0123")
        del row["participants"]
        await account.written(row)
        assert [m.to for m in account.simulator.messages.sent] == ["+13125550123"]

    @pytest.mark.parametrize(("book_added", "to"), [(False, []), (True, ["+13125550123", "max@example.com"])])
    async def test_a_participant_added_later_is_booked_as_switched(self, account: Account, book_added: bool, to: list[str]) -> None:
        account.settings.book_added = book_added
        await account.written(account.row())
        before = len(account.simulator.messages.sent)
        await account.written(account.row(participants=[JANE, MAX]))
        assert [m.to for m in account.simulator.messages.sent[before:]] == to

    async def test_a_revived_event_books_nobody_and_a_new_one_does(self, account: Account) -> None:
        await account.written(account.row())
        await account.delete("ts-1")
        await account.written(account.row())
        assert len(account.simulator.messages.sent) == 2
        account.settings.after_delete = AfterDelete.NEW
        await account.delete("ts-1")
        await account.written(account.row())
        assert len(account.simulator.messages.sent) == 4


class TestReminders:
    async def test_reminders_and_follow_ups_wait_for_their_time(self, account: Account) -> None:
        await account.written(account.row())
        waiting = account.simulator.messages.would_send()
        assert purposes(waiting) == ["reminder sms", "reminder email", "reminder sms", "follow-up email"]
        assert waiting[0].at == datetime.fromisoformat(START) - DAY
        assert waiting[-1].at == datetime.fromisoformat("2026-12-04T22:00:00-05:00")

    async def test_advancing_the_clock_sends_what_fell_due(self, account: Account) -> None:
        await account.written(account.row())
        assert purposes(account.simulator.messages.advance(11 * DAY + timedelta(hours=12))) == ["reminder sms", "reminder email"]
        assert account.events.live_events()[0].participants[0].state == "reminded"
        assert purposes(account.simulator.messages.advance(DAY)) == ["reminder sms"]
        assert purposes(account.simulator.messages.advance(30 * DAY)) == ["follow-up email"]
        assert account.simulator.messages.would_send() == []

    async def test_moving_an_event_moves_its_reminders(self, account: Account) -> None:
        await account.written(account.row())
        later = {"start_time": "2026-12-13T18:30:00-05:00", "end_time": "2026-12-13T22:00:00-05:00"}
        await account.written({"external_id": "ts-1", **later})
        assert account.simulator.messages.would_send()[0].at == datetime.fromisoformat("2026-12-12T18:30:00-05:00")
        assert account.simulator.messages.advance(15 * DAY) == []
        assert len(account.simulator.messages.advance(15 * DAY)) == 4

    async def test_deleting_an_event_stops_its_messages(self, account: Account) -> None:
        await account.written(account.row())
        await account.delete("ts-1")
        assert account.simulator.messages.would_send() == []
        assert account.simulator.messages.advance(60 * DAY) == []

    async def test_a_reminder_that_is_past_at_creation_is_not_sent(self, account: Account) -> None:
        soon = account.row(start_time="2026-11-21T14:00:00Z", end_time="2026-11-21T15:00:00Z", participants=[MAX])
        await account.written(soon)
        assert purposes(account.simulator.messages.advance(3 * DAY)) == ["reminder sms", "follow-up email"]

    async def test_an_ended_event_is_followed_up_all_the_same(self, account: Account) -> None:
        await account.written(account.row(start_time="2026-11-21T09:00:00Z", end_time="2026-11-21T10:00:00Z"))
        assert purposes(account.simulator.messages.would_send()) == ["follow-up email"]

    async def test_a_message_reads_the_time_in_the_events_zone(self, account: Account) -> None:
        """A wrong time_zone tells the guest a wrong hour although the instant is right (section 5)."""
        await account.written(account.row(), account.row("ts-2", time_zone="America/Vancouver"), account.row("ts-3", time_zone="PT"))
        texts = {m.external_id: m.text for m in account.simulator.messages.sent}
        assert texts == {
            "ts-1": "Dinner, 2026-12-03 18:30",
            "ts-2": "Dinner, 2026-12-03 16:30",
            "ts-3": "Dinner, 2026-12-03 18:30",
        }

    async def test_rules_that_change_count_for_events_there_are(self, account: Account) -> None:
        await account.written(account.row())
        account.settings.rules = ("reminder email 2d",)
        assert purposes(account.simulator.messages.would_send()) == ["reminder email"]
        assert purposes(account.simulator.messages.advance(30 * DAY)) == ["reminder email"]

    async def test_what_was_sent_shows_in_the_conversations(self, account: Account) -> None:
        await account.written(account.row())
        [event] = await account.listed(include_conversations="true")
        [conversation] = event["participants"][0]["conversations"]
        assert [m["event_type"] for m in conversation["messages"]] == ["sent", "sent"]
        [plain] = await account.listed()
        assert "conversations" not in plain["participants"][0]


class TestCommands:
    @pytest.mark.parametrize("field", ["title", "location", "content"])
    @pytest.mark.parametrize("command", ["#skip", "#SKIP", "[SKIP]", "please #skip this"])
    async def test_skip_silences_an_event(self, account: Account, field: str, command: str) -> None:
        await account.written(account.row(**{field: command}))
        assert account.simulator.messages.sent == account.simulator.messages.would_send() == []

    @pytest.mark.parametrize("harmless", ["# skip", "#skipper", "a#skip", "&#skip", "[ SKIP ]", "skip"])
    async def test_what_only_looks_like_a_command_does_nothing(self, account: Account, harmless: str) -> None:
        await account.written(account.row(content=harmless))
        assert len(account.simulator.messages.sent) == 2

    @pytest.mark.parametrize(
        ("command", "sent", "waiting"),
        [
            ("#nobooking", [], ["reminder sms", "reminder email", "reminder sms", "follow-up email"]),
            ("#noremind", ["booking sms", "booking email"], ["follow-up email"]),
            ("#nofollowup", ["booking sms", "booking email"], ["reminder sms", "reminder email", "reminder sms"]),
            ("#nosms", ["booking email"], ["reminder email", "follow-up email"]),
            ("[NOEMAIL]", ["booking sms"], ["reminder sms", "reminder sms"]),
            (
                "#call",
                ["booking sms", "booking email"],
                ["reminder sms", "reminder email", "reminder call", "reminder sms", "follow-up email"],
            ),
            ("#call #nocall", ["booking sms", "booking email"], ["reminder sms", "reminder email", "reminder sms", "follow-up email"]),
        ],
    )
    async def test_commands_choose_purposes_and_channels(self, account: Account, command: str, sent: list[str], waiting: list[str]) -> None:
        await account.written(account.row(content=command))
        assert purposes(account.simulator.messages.sent) == sent
        assert purposes(account.simulator.messages.would_send()) == waiting

    async def test_one_mode_ignores_nobooking(self, account: Account) -> None:
        account.settings.ignore_nobooking = True
        await account.written(account.row(content="#nobooking"))
        assert purposes(account.simulator.messages.sent) == ["booking sms", "booking email"]

    @pytest.mark.parametrize(
        ("content", "count"), [("", 0), ("#auto", 2), ("#apptoto", 2), ("#enable", 2), ("#booking", 0), ("#auto #skip", 0)]
    )
    async def test_with_the_master_switch_off_only_auto_sends(self, account: Account, content: str, count: int) -> None:
        account.settings.master_switch = False
        await account.written(account.row(content=content))
        assert len(account.simulator.messages.sent) == count

    async def test_a_purpose_that_is_off_can_be_enabled_for_one_event(self, account: Account) -> None:
        account.settings.rules = ("booking sms off", "reminder sms 24h off")
        await account.written(account.row(content="#booking"))
        assert purposes(account.simulator.messages.sent) == ["booking sms"]
        assert account.simulator.messages.would_send() == []

    @pytest.mark.parametrize(("releases", "sent"), [(False, []), (True, ["booking sms", "booking email"])])
    async def test_taking_a_tag_away_releases_bookings_in_one_mode(self, account: Account, releases: bool, sent: list[str]) -> None:
        account.settings.release_bookings = releases
        await account.written(account.row(content="#skip"))
        assert account.simulator.messages.sent == []
        await account.written({"external_id": "ts-1", "content": ""})
        assert purposes(account.simulator.messages.sent) == sent
        await account.written({"external_id": "ts-1", "content": "thanks"})
        assert purposes(account.simulator.messages.sent) == sent

    async def test_taking_a_tag_away_lets_reminders_go(self, account: Account) -> None:
        await account.written(account.row(content="#skip"))
        await account.written({"external_id": "ts-1", "content": ""})
        assert len(account.simulator.messages.advance(60 * DAY)) == 4


class TestRules:
    @pytest.mark.parametrize("line", ["booking", "booking pigeon", "party sms", "reminder sms soon"])
    def test_a_rule_that_cannot_be_read_is_refused(self, line: str) -> None:
        with pytest.raises(ValueError, match=r"\w"):
            read_rule(line)

    def test_a_rule_knows_its_distance_and_whether_it_is_on(self) -> None:
        rule = read_rule("reminder call 90m off")
        assert (rule.distance, rule.enabled) == (timedelta(minutes=90), False)


class TestForbiddenCalls:
    async def test_a_one_off_message_is_noted(self, account: Account) -> None:
        answer = await account.http.post("/v1/send_message", json={"phone": "+12125550147", "message": "hi"})
        assert answer.status_code == 200
        assert [x.body["message"] for x in account.simulator.messages.one_offs] == ["hi"]

    async def test_a_mark_sets_the_state_of_everybody_and_is_noted(self, account: Account) -> None:
        await account.written(account.row(participants=[JANE, MAX]))
        await account.http.post("/v1/event/mark", json={"external_id": "ts-1", "state": "needs_reschedule"})
        states = {p.state for p in account.events.live_events()[0].participants}
        assert states == {"not_coming_needs_reschedule"}
        assert len(account.simulator.messages.marks) == 1

    async def test_marking_a_missing_event_is_404(self, account: Account) -> None:
        assert (await account.http.post("/v1/event/mark", json={"external_id": "ts-404", "state": "arrived"})).status_code == 404
