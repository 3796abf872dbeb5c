"""`check`: everything `run` would refuse, told at once; every account asked, and none hidden by another."""

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from calrelay.domain import zones
from calrelay.errors import ExitCode
from calrelay.simulators.faults import Fault, Kind
from calrelay.state.database import open_database
from calrelay.state.tokens import SqlTokenStore
from tests.unit.cli.house import House
from tests.unit.cli.schemas import assert_fits


def change(house: House, old: str, new: str) -> None:
    text = house.config.read_text()
    assert old in text
    house.config.write_text(text.replace(old, new))


def test_a_sound_installation_has_nothing_wrong_and_shows_what_the_accounts_have(house: House) -> None:
    said = house.type("check")
    assert said.code == 0, said
    for shown in ("site 1501", "America/Vancouver", "location 2602", "staff 61001", "calendar 1000030001", zones.ZONE_DATA_VERSION):
        assert shown in said.out
    assert "Nothing is wrong" in said.out


def test_the_document_keeps_to_its_schema_whether_all_is_well_or_not(house: House) -> None:
    well = house.ask("check")
    change(house, '"Main Hall"', '"Hall"')
    broken = house.ask("check")
    change(house, "[[pipelines]]", "[[pipelnes]]")
    unreadable = house.ask("check")
    for document in (well, broken, unreadable, house.ask("check", "--offline")):
        assert_fits(document, "check")
    assert [account["status"] for account in well["accounts"]] == ["works"] * 3
    assert (len(broken["problems"]), broken["exit_code"]) == (1, ExitCode.CONFIG)
    assert unreadable["config"] == str(house.config)


def test_check_sends_nothing_but_questions(house: House) -> None:
    house.type("check")
    world = house.world
    asked = {entry.method for simulator in (world.tripleseat, world.timetap, world.apptoto) for entry in simulator.journal.entries}
    assert asked == {"GET"}
    assert world.apptoto.snapshot()["events"] == 0


def test_each_wrong_credential_names_its_account_and_what_to_do(house: House) -> None:
    change(house, 'api_key = "apptoto-key"', 'api_key = "another-key"')
    change(house, f'api_key = "{house.world.timetap.settings.api_key}"', 'api_key = "999999"')
    document = house.ask("check")
    assert document["exit_code"] == ExitCode.VENDOR
    assert {problem["account"]: problem["kind"] for problem in document["problems"]} == {"studio": "AuthFailed", "reminders": "AuthFailed"}
    for problem in document["problems"]:
        assert problem["account"] in problem["message"]
        assert "calrelay check" in problem["remedy"]
    assert {account["name"]: account["status"] for account in document["accounts"]}["venue"] == "works"
    assert "another-key" not in str(document)


def test_lack_of_consent_names_the_command_that_mends_it(house: House) -> None:
    with open_database("sqlite:///calrelay.db", house.config.parent) as database:
        SqlTokenStore(database).forget("venue")
    said = house.type("check")
    assert said.code == ExitCode.VENDOR
    assert "calrelay login venue" in said.out


def test_one_vendor_that_is_down_does_not_hide_the_others(house: House) -> None:
    house.world.timetap.faults.add(Fault(kind=Kind.STATUS, status=403, times=None))
    document = house.ask("check")
    assert {account["name"]: account["status"] for account in document["accounts"]} == {
        "venue": "works",
        "studio": "failed",
        "reminders": "works",
    }


def test_all_problems_of_a_config_are_told_at_once_with_path_and_fix(house: House) -> None:
    change(house, 'calendar = "Main Hall"', 'calendar = "Main Hall"\nevry = "5m"\nregion = "Utopia"')
    said = house.type("check")
    assert said.code == ExitCode.CONFIG
    assert "pipelines[0].evry (venue): is no key of this table" in said.out
    assert "→ did you mean “every”?" in said.out
    assert "pipelines[0].region" in said.out


def test_a_secret_that_is_nowhere_is_a_problem_of_its_account_alone(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    change(house, '"simulated-secret"', '{ env = "NOT_SET" }')
    document = house.ask("check")
    assert [(p["account"], p["kind"]) for p in document["problems"]] == [("venue", "ConfigError")]
    assert "accounts.venue.client_secret" in document["problems"][0]["message"]
    assert "NOT_SET" in document["problems"][0]["remedy"]
    assert {a["name"]: a["status"] for a in document["accounts"]} == {"venue": "not asked", "studio": "works", "reminders": "works"}


def test_offline_needs_no_secret_and_asks_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    change(house, '"simulated-secret"', '{ env = "NOT_SET" }')
    said = house.type("check", "--offline")
    assert (said.code, "NOT_SET" in said.out) == (0, True)
    world = house.world
    assert [s.journal.entries for s in (world.tripleseat, world.timetap, world.apptoto)] == [[], [], []]


def test_an_optional_secret_is_only_a_warning_until_webhooks_are_received(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    change(house, '"simulated-secret"', '"simulated-secret"\nwebhook_secret = { env = "NOT_SET" }')
    assert house.type("check").code == 0
    change(house, 'listen = ""', 'listen = ""\nhooks = "127.0.0.1:8643"')
    assert [one["account"] for one in house.ask("check")["problems"]] == ["venue"]


def test_a_token_of_the_page_that_cannot_be_used_is_a_problem(house: House) -> None:
    change(house, 'listen = ""', 'listen = "127.0.0.1:8642"\ntoken = "short"')
    said = house.type("check")
    assert (said.code, "fewer than 16 characters" in said.out) == (ExitCode.CONFIG, True)


def test_a_webhook_secret_that_could_be_guessed_is_worth_a_word(house: House) -> None:
    change(house, '"simulated-secret"', '"simulated-secret"\nwebhook_secret = "hook-123"')
    (warning,) = [one for one in house.ask("check", "--offline")["warnings"] if "webhook_secret" in one]
    assert warning.startswith("accounts.venue.webhook_secret: is 8 characters long")
    assert "hook-123" not in warning


def test_a_secrets_file_that_others_may_open_is_worth_a_word(house: House) -> None:
    secret = house.config.parent / "secret"
    secret.write_text("simulated-secret\n")
    secret.chmod(0o644)
    change(house, '"simulated-secret"', '{ file = "secret" }')
    document = house.ask("check")
    assert document["exit_code"] == 0
    assert any(warning.endswith(f"chmod 600 {secret}") for warning in document["warnings"])


def test_a_config_that_others_may_open_is_told_once_with_what_to_type(house: House) -> None:
    house.config.chmod(0o644)
    said = house.type("status")
    assert said.err.splitlines() == [
        f"calrelay: {house.config}: holds a secret, and others than its owner may open it",
        f"  → chmod 600 {house.config}",
    ]
    assert house.type("check").out.count("holds a secret") == 1


def test_a_pass_names_no_calendar_and_leads_to_the_command_that_does(house: House) -> None:
    """What a pass says goes into the log, into notifications and into the state; a calendar may be called like the person it belongs to."""
    change(house, '"Main Hall"', '"Rosalind Ferro"')
    said = house.type("sync", "venue")
    told = said.out + said.err
    assert (said.code, "`calrelay check` shows which" in told) == (ExitCode.CONFIG, True)
    assert "lacks 1 calendar that the config names" in told
    assert not any(name in told for name in ("Rosalind", "Terrace", "Main Hall"))
    assert b"Rosalind" not in (house.config.parent / "calrelay.db").read_bytes()


def test_a_calendar_that_is_not_there_is_answered_with_the_names_that_are(house: House) -> None:
    change(house, '"Main Hall"', '"Mian Hall"')
    said = house.type("check")
    assert said.code == ExitCode.CONFIG
    assert "pipelines[0].calendar (venue): account reminders has no calendar named “Mian Hall”" in said.out
    assert "did you mean “Main Hall”?" in said.out
    assert "“Terrace” (1000030002)" in said.out


def test_a_calendar_id_that_is_not_there_is_refused_and_one_that_is_passes(house: House) -> None:
    change(house, 'calendar = "Main Hall"', "calendar_id = 1000030001")
    assert house.type("check").code == 0
    change(house, "calendar_id = 1000030001", "calendar_id = 77")
    assert "shows no calendar 77" in house.type("check").out


def test_what_filters_and_routes_name_is_held_against_what_the_account_shows(house: House) -> None:
    """A name that nothing bears lets nothing in, or leaves nothing out, and no pass can know that it was meant otherwise."""
    wanted = 'rooms = ["Mian Hall", "terrace ", 90002], locations = ["Alder Hause"], event_types = ["Weding"]'
    table = f"""filter = {{ {wanted}, exclude = {{ rooms = ["Cellr"] }} }}
routes = [{{ match = {{ locations = ["Nowhere at all"] }}, calendar = "Terrace" }}]
"""
    change(house, 'name = "venue"\n', f'name = "venue"\n{table}')
    warnings = [warning for warning in house.ask("check")["warnings"] if "shows no" in warning]
    assert warnings[:3] == [
        "pipelines[0].filter.locations (venue): account venue shows no “Alder Hause” among its locations — did you mean “Alder House”?",
        "pipelines[0].filter.rooms (venue): account venue shows no “Mian Hall” among its rooms — did you mean “Main Hall”?",
        "pipelines[0].filter.exclude.rooms (venue): account venue shows no “Cellr” among its rooms — did you mean “Cellar”?",
    ]
    assert [warning.partition(" — there is ")[0] for warning in warnings[3:]] == [
        "pipelines[0].routes[0].match.locations (venue): account venue shows no “Nowhere at all” among its locations"
    ]


def test_the_calendars_of_routes_are_looked_up_too(house: House) -> None:
    route = '\n[[pipelines.routes]]\nmatch = { rooms = ["Terrace"] }\ncalendar = "Terasse"\n'
    text = house.config.read_text()
    table, _, rest = text.partition('window = { future = "60d" }\n')
    house.config.write_text(f'{table}window = {{ future = "60d" }}\n{route}{rest}')
    assert "pipelines[0].routes[0].calendar" in house.type("check").out


def test_a_template_that_would_fail_on_every_event_is_named(house: House) -> None:
    change(
        house,
        'calendar = "Main Hall"\n',
        'calendar = "Main Hall"\nevent = { title = "{{ event.tilte }}", custom_data = { hall = "{{ 1 / 0 }}" } }\n',
    )
    document = house.ask("check", "--offline")
    assert document["exit_code"] == ExitCode.CONFIG
    assert [problem["message"].partition(":")[0] for problem in document["problems"]] == [
        "pipelines[0].event.title (venue)",
        "pipelines[0].event.custom_data.hall (venue)",
    ]
    assert "there is no field “tilte”" in document["problems"][0]["message"]
    assert "division by zero" in document["problems"][1]["message"]


def test_a_zone_for_a_place_that_the_account_does_not_show_is_worth_a_word(house: House) -> None:
    zone = 'zones = { "location:2602" = "America/Vancouver", "location:9" = "America/Denver" }'
    change(house, '"simulated-secret"', f'"simulated-secret"\n{zone}')
    document = house.ask("check")
    venue = next(account for account in document["accounts"] if account["name"] == "venue")
    overrides = {fact["name"]: fact["warning"] for fact in venue["facts"] if fact["name"].startswith("zones ")}
    assert overrides["zones location:2602"] is None
    assert "no location 9" in overrides["zones location:9"]
    assert "2601" in overrides["zones location:9"]


@pytest.mark.parametrize(
    ("seconds", "code", "word"), [(10, 0, "Nothing is wrong"), (90, 0, "set it, by NTP"), (900, ExitCode.CONFIG, "timedatectl")]
)
def test_a_clock_that_is_off_is_warned_of_and_then_refused(house: House, seconds: int, code: int, word: str) -> None:
    house.world.clock.advance(timedelta(seconds=seconds))
    said = house.type("check")
    assert (said.code, word in said.out) == (code, True), said.out


def test_old_zone_data_is_worth_a_word(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calrelay.cli.check_machine.zone_data_is_old", lambda _: True)
    document = house.ask("check", "--offline")
    assert document["zone_data"]["is_old"] is True
    assert any(warning.startswith("zone data") for warning in document["warnings"])


def test_a_rate_above_the_vendors_known_limit_is_worth_a_word(house: House) -> None:
    assert any("are more than Apptoto is known to take" in warning for warning in house.ask("check", "--offline")["warnings"])


# --- the state ---


def test_a_broken_database_is_told_as_such_and_no_account_is_asked(house: House) -> None:
    (house.config.parent / "calrelay.db").write_bytes(b"not a database at all" * 100)
    document = house.ask("check")
    assert document["exit_code"] == ExitCode.STATE
    assert [problem["kind"] for problem in document["problems"]] == ["StateError"]
    assert house.world.tripleseat.journal.entries == []


def test_a_state_that_is_not_there_yet_is_fine_and_stays_away(house: House) -> None:
    change(house, "[log]", '[state]\nurl = "sqlite:///new.db"\n\n[log]')
    said = house.type("check")
    assert "not there yet" in said.out
    assert not (house.config.parent / "new.db").exists()


def test_a_state_whose_folder_is_missing_is_told_before_run_finds_out(house: House) -> None:
    change(house, "[log]", '[state]\nurl = "sqlite:///nowhere/new.db"\n\n[log]')
    said = house.type("check", "--offline")
    assert said.code == ExitCode.STATE
    assert "mkdir -p" in said.out


def test_a_database_of_another_program_is_refused(house: House) -> None:
    other = house.config.parent / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    change(house, "[log]", '[state]\nurl = "sqlite:///other.db"\n\n[log]')
    assert house.type("check", "--offline").code == ExitCode.STATE


def test_without_a_config_check_says_where_it_looked(house: House, tmp_path: Path) -> None:
    house.config = tmp_path / "nowhere.toml"
    said = house.type("check")
    assert said.code == ExitCode.CONFIG
    assert "calrelay init" in said.out
