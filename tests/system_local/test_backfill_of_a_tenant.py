"""A load of a tenant is that of its pipelines, one by one; what ends one is told together with what was done before it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from calrelay.errors import ExitCode
from tests.system_local.test_tenants_together import WANTED, Town, town
from tests.unit.cli.schemas import assert_fits

__all__ = ["town"]

SECOND = """
[[pipelines]]
name = "again"
source = "desk"
target = "reminders"
calendar = "Studio"
id_prefix = "again-"
window = { future = "60d" }
"""


def day(offset: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=offset):%Y-%m-%d}"


def add_pipeline(town: Town, tenant: str, text: str) -> None:
    path: Path = town.house.config.parent / "tenants" / f"{tenant}.toml"
    path.write_text(path.read_text() + text)


def test_all_pipelines_of_a_tenant_are_loaded_and_no_others(town: Town) -> None:
    town.settle("acme", "beta")
    add_pipeline(town, "acme", SECOND)
    document = town.house.ask("backfill", "acme/", "--from", day(-1), "--to", day(60), "--messages", "no-booking")
    assert_fits(document, "passes")
    assert [(one["pipeline"], one["created"]) for one in document["passes"]] == [("acme/studio", WANTED), ("acme/again", WANTED)]
    assert town.served() == {"acme": WANTED, "again": WANTED}


def test_what_keeps_a_later_pipeline_from_loading_is_told_with_what_was_loaded(town: Town) -> None:
    town.settle("acme")
    account = '[accounts.other]\nvendor = "timetap"\napi_key = "1"\nprivate_key = { file = "none.key" }\n'
    add_pipeline(town, "acme", SECOND.replace('"desk"', '"other"') + account)
    said = town.house.type("backfill", "acme", "--from", day(-1), "--to", day(60), "--messages", "no-booking")
    assert said.code == ExitCode.CONFIG
    assert f"{WANTED} created" in said.out
    assert "none.key" in said.err
