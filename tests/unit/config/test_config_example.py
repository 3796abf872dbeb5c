import re
import tomllib
from pathlib import Path

import pytest

from calrelay.config.example import Draft, commented, example
from calrelay.config.load import parse_config
from calrelay.config.toml import toml_value
from calrelay.vendors.registry import VENDORS

PATH = Path("/nowhere/config.toml")
_KEY = re.compile(r"^# (?=\w+ = |\[\[)", re.MULTILINE)


def test_the_example_loads_as_printed_and_without_a_doubt() -> None:
    config = parse_config(example(VENDORS), path=PATH, vendors=VENDORS)
    assert config.warnings == ()
    assert set(config.accounts) == {"venue", "studio", "reminders"}
    assert [pipeline.name for pipeline in config.pipelines] == ["venue"]


def test_what_the_example_shows_is_the_default() -> None:
    """Values left alone mean the same as keys left out."""
    raw = tomllib.loads(example(VENDORS))
    (pipeline,) = raw["pipelines"]
    raw["pipelines"] = [{key: pipeline[key] for key in ("name", "source", "target", "calendar")}]
    short = "".join(f"{key} = {toml_value(raw[key])}\n" for key in ("accounts", "pipelines"))
    shown, meant = (parse_config(text, path=PATH, vendors=VENDORS) for text in (example(VENDORS), short))
    assert shown == meant


def test_every_line_that_is_commented_out_could_stand() -> None:
    text = _KEY.sub("", example(VENDORS))
    text = "\n".join(line for line in text.splitlines() if not line.startswith("calendar_id"))
    config = parse_config(text, path=PATH, vendors=VENDORS)
    assert config.pipelines[0].routes[0].calendar == "Terrace"
    assert config.pipelines[0].id_prefix == "west-"
    assert config.warnings == ()


def test_the_example_shows_every_key() -> None:
    text = _KEY.sub("", example(VENDORS))
    for vendor in VENDORS.values():
        for key in vendor.account.model_fields:
            assert re.search(rf"^{key} = ", text, re.MULTILINE), key


def test_the_example_holds_no_secret() -> None:
    config = parse_config(example(VENDORS), path=PATH, vendors=VENDORS)
    for account in config.accounts.values():
        assert "…" not in repr(account)


def test_a_draft_becomes_a_commented_config_of_its_own_vendor() -> None:
    """What `init` writes from answers."""
    draft = Draft(
        accounts={
            "salon": {"vendor": "timetap", "api_key": "1", "private_key": 'a "quoted" \\ key'},
            "texts": {"vendor": "apptoto", "username": "ops@example.org", "api_key": {"env": "KEY"}, "schedule": ["2d"]},
        },
        pipelines=(
            {
                "name": "salon",
                "source": "salon",
                "target": "texts",
                "calendar_id": 7,
                "messages": "skip",
                "routes": [{"match": {"staff": ["Ada Bell"]}, "calendar": "Ada"}],
                "filter": {"services": ["Colour"]},
                "guards": {"deletes": 1},
            },
        ),
        sections={"web": {"listen": ""}},
    )
    config = parse_config(commented(draft, VENDORS), path=PATH, vendors=VENDORS)
    (pipeline,) = config.pipelines
    assert (pipeline.messages, pipeline.calendar_id, pipeline.people) == ("skip", "7", ("client",))
    assert pipeline.routes[0].calendar == "Ada"
    assert pipeline.filter.facets == {"services": ("Colour",)}
    assert pipeline.guards.deletes.count == 1
    assert config.web.listen is None
    assert config.accounts["salon"].private_key.value == 'a "quoted" \\ key'  # type: ignore[attr-defined] # of the vendor's own model


@pytest.mark.parametrize(
    "value", ['a "b" \\ c', "line\nbreak\ttab", True, 3, 0.2, 1e-9, ["a", 1], {"location:2601": "x", "b": {"c": []}}, {}]
)
def test_values_are_read_as_they_were_written(value: object) -> None:
    assert tomllib.loads(f"x = {toml_value(value)}") == {"x": value}


def test_what_toml_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="NoneType"):
        toml_value(None)
