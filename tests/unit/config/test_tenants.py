"""Tenants' files: how they are found and named, and that what is wrong with one stays with it."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from calrelay.config.load import Config, keep_running, load_config
from calrelay.config.tenants import tenant_of
from calrelay.errors import ConfigError
from calrelay.vendors.registry import VENDORS

ROOT = """
include = ["tenants/*.toml"]
[accounts.reminders]
vendor = "apptoto"
username = "ops@example.com"
api_key = { env = "APPTOTO" }
"""
TENANT = """
[accounts.site]
vendor = "tripleseat"
client_id = "uid"
client_secret = { file = "site.secret" }
[[pipelines]]
name = "venue"
source = "site"
target = "reminders"
calendar = "Main Hall"
"""
ANOTHER = TENANT.replace('"uid"', '"uid of another"')
OWN_TARGET = """
[accounts.reminders]
vendor = "apptoto"
username = "hall@example.org"
api_key = { env = "HALL" }
"""
BROKEN = TENANT + 'every = "often"\n'

Write = Callable[..., Config]


@pytest.fixture
def house(tmp_path: Path) -> Write:
    """Write files of tenants beside a config, and load it."""
    (tmp_path / "tenants").mkdir()

    def write(root: str = ROOT, /, **tenants: str | None) -> Config:
        (tmp_path / "config.toml").write_text(root)
        for name, text in tenants.items():
            path = tmp_path / "tenants" / f"{name}.toml"
            path.unlink(missing_ok=True) if text is None else path.write_text(text)
        return load_config(tmp_path / "config.toml", VENDORS)

    return write


def refusal(config: Config, tenant: str) -> ConfigError:
    return config.refusals[tenant]


def test_a_name_tells_its_tenant() -> None:
    assert [tenant_of("acme/venue"), tenant_of("venue")] == ["acme", ""]


def test_names_of_a_file_are_known_with_its_tenant_before_them(house: Write) -> None:
    config = house(acme=TENANT, zoo=TENANT)
    assert [one.name for one in config.pipelines] == ["acme/venue", "zoo/venue"]
    assert sorted(config.accounts) == ["acme/site", "reminders", "zoo/site"]
    assert config.refusals == {}


def test_a_pipeline_uses_accounts_of_its_own_file_before_those_of_the_config(house: Write) -> None:
    config = house(acme=TENANT, hall=TENANT + OWN_TARGET)
    assert [config.pipeline("acme/venue").target, config.pipeline("hall/venue").target] == ["reminders", "hall/reminders"]
    assert config.pipeline("acme/venue").source == "acme/site"


def test_an_account_of_another_tenant_cannot_be_named(house: Write) -> None:
    config = house(acme=TENANT.replace('source = "site"', 'source = "zoo/site"'), zoo=TENANT)
    assert "tenants/acme.toml: pipelines[0].source (venue): “zoo/site” is no account" in refusal(config, "acme").problems[0]


def test_files_of_secrets_start_at_the_folder_of_the_tenants_file(house: Write, tmp_path: Path) -> None:
    (tmp_path / "tenants" / "site.secret").write_text("of-acme\n")
    config = house(acme=TENANT)
    assert config.resolve(getattr(config.account("acme/site"), "client_secret")) == "of-acme"  # noqa: B009 - of the vendor's model


def test_a_secret_that_is_missing_is_told_with_its_file_and_path(house: Write) -> None:
    config = house(acme=TENANT)
    with pytest.raises(ConfigError, match=r"tenants/acme\.toml: accounts\.site\.client_secret: the file .*site\.secret cannot be read"):
        config.resolve(getattr(config.account("acme/site"), "client_secret"))  # noqa: B009 - of the vendor's model


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[accounts\n", "tenants/acme.toml in line 1"),
        (BROKEN, "tenants/acme.toml: pipelines[0].every (venue): "),
        (TENANT + '[log]\nlevel = "debug"\n', "tenants/acme.toml: log: stands in the config itself"),
        ('include = ["more/*.toml"]\n' + TENANT, "tenants/acme.toml: include: stands in the config itself"),
        (TENANT + "[acounts]\n", "tenants/acme.toml: acounts: is no key of this table — did you mean “accounts”?"),
        (TENANT + TENANT.partition("[[pipelines]]")[2].join(("[[pipelines]]", "")), "tenants/acme.toml: pipelines[1].name (venue): "),
        (TENANT.replace('{ file = "site.secret" }', '"written-out"'), "tenants/acme.toml: holds a secret, and others than its owner"),
    ],
)
def test_what_is_wrong_with_one_file_is_its_own_refusal(house: Write, tmp_path: Path, text: str, problem: str) -> None:
    config = house(acme=text, zoo=TENANT)
    assert list(config.refusals) == ["acme"]
    assert refusal(config, "acme").problems[0].startswith(problem)
    assert str(tmp_path / "tenants" / "acme.toml") in refusal(config, "acme").message
    assert [one.name for one in config.pipelines] == ["zoo/venue"]


def test_all_problems_of_a_file_are_told_at_once(house: Write) -> None:
    problems = refusal(house(acme="[web]\n" + BROKEN), "acme").problems
    assert [problem.split(":")[1].strip() for problem in problems] == ["web", "pipelines[0].every (venue)"]


def test_a_file_that_cannot_be_read_is_refused(house: Write, tmp_path: Path) -> None:
    (tmp_path / "tenants" / "acme.toml").write_bytes(b"\xff\xfe")
    assert refusal(house(), "acme").problems == ("tenants/acme.toml is not UTF-8 text — save it as UTF-8",)


def test_two_files_of_one_name_are_refused_naming_both(house: Write, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "acme.toml").write_text(TENANT)
    config = house(ROOT.replace('["tenants/*.toml"]', '["tenants/*.toml", "more/*.toml"]'), acme=TENANT, zoo=TENANT)
    assert "tenants/acme.toml and more/acme.toml would both be the tenant acme" in refusal(config, "acme").problems[0]
    assert [one.name for one in config.pipelines] == ["zoo/venue"]


def test_a_file_that_two_patterns_match_is_read_once(house: Write) -> None:
    config = house(ROOT.replace('["tenants/*.toml"]', '["tenants/*.toml", "tenants/a*.toml"]'), acme=TENANT)
    assert [one.name for one in config.pipelines] == ["acme/venue"]


def test_a_file_whose_name_is_no_name_is_refused(house: Write) -> None:
    assert "is no usable name" in refusal(house(**{"my venue": TENANT}), "my venue").problems[0]


def test_hidden_files_and_folders_are_no_tenants(house: Write, tmp_path: Path) -> None:
    (tmp_path / "tenants" / ".#acme.toml").write_text("[")
    (tmp_path / "tenants" / "old.toml").mkdir()
    assert list(house(acme=TENANT).tenants) == ["acme"]


def test_the_config_itself_is_no_tenant(house: Write) -> None:
    assert house(ROOT.replace("tenants/*.toml", "*.toml")).tenants == {}


def test_a_pattern_without_a_file_is_worth_a_warning(house: Write) -> None:
    warnings = house(ROOT.replace('["tenants/*.toml"]', '["tenants/*.toml", "tenants/*.tml"]'), acme=TENANT).warnings
    assert [one.partition(" — ")[0].partition(" in ")[0] for one in warnings] == ["include[1]: “tenants/*.tml” matches no file"]


def test_a_folder_that_is_not_there_is_refused_and_not_taken_for_no_tenants(house: Write) -> None:
    with pytest.raises(ConfigError, match="venues, which `include` names, is not there"):
        house(ROOT.replace("tenants/", "venues/"), acme=TENANT)


def test_a_running_config_does_not_lose_all_its_tenants_at_once(house: Write) -> None:
    before = house(acme=TENANT, birch=TENANT)
    with pytest.raises(ConfigError, match="no file any more, where it gave 2 tenants"):
        keep_running(house(acme=None, birch=None), before)
    assert keep_running(house(acme=TENANT), before).tenants.keys() == {"acme"}
    assert not keep_running(house(ROOT.replace('["tenants/*.toml"]', "[]"), acme=None), before).tenants


def test_a_broken_config_is_refused_whole(house: Write) -> None:
    with pytest.raises(ConfigError, match=r"include\[0\]"):
        house(ROOT.replace('"tenants/*.toml"', "7"), acme=TENANT)


def test_a_pipeline_of_a_refused_tenant_is_refused_with_the_reason(house: Write) -> None:
    config = house(acme=BROKEN, zoo=TENANT)
    with pytest.raises(ConfigError, match=r"tenants/acme\.toml: pipelines\[0\]\.every"):
        config.pipeline("acme/venue")
    with pytest.raises(ConfigError, match=r"tenants/acme\.toml: pipelines\[0\]\.every"):
        config.select(["acme/"])


def test_a_tenant_stands_for_its_pipelines(house: Write) -> None:
    second = TENANT.partition("[[pipelines]]")[2].replace('"venue"', '"off"') + "enabled = false\n"
    config = house(acme=f"{TENANT}[[pipelines]]{second}", zoo=TENANT)
    for name in ("acme", "acme/"):
        assert [one.name for one in config.select([name, "acme/venue"])] == ["acme/venue"]


def test_a_pipeline_called_like_a_tenant_comes_first_and_the_stroke_means_the_tenant(house: Write) -> None:
    config = house(ROOT + TENANT.replace('"venue"', '"acme"'), acme=TENANT)
    assert [one.name for one in config.select(["acme"])] == ["acme"]
    assert [one.name for one in config.select(["acme/"])] == ["acme/venue"]


def test_a_tenant_that_is_named_where_one_pipeline_is_wanted_is_told_by_its_pipelines(house: Write) -> None:
    config = house(acme=TENANT)
    for name in ("acme", "acme/"):
        with pytest.raises(ConfigError, match="is a tenant, and one pipeline is wanted here") as caught:
            config.pipeline(name)
        assert caught.value.remedy == "name it: acme/venue"


def test_a_pipeline_is_placed_by_its_file(house: Write) -> None:
    config = house(ROOT + TENANT, acme=TENANT)
    assert config.place("venue", "calendar") == "pipelines[0].calendar (venue)"
    assert config.place("acme/venue", "calendar") == "tenants/acme.toml: pipelines[0].calendar (acme/venue)"


def test_a_doubt_names_the_file(house: Write) -> None:
    config = house(acme=TENANT + '[pipelines.filter]\nstatuses = ["DEFINTE"]\n')
    assert config.warnings[0].startswith("tenants/acme.toml: pipelines[0].filter.statuses (acme/venue): “DEFINTE”")


def test_tenants_that_share_a_target_are_told_of_prefixes(house: Write) -> None:
    (warning,) = house(acme=TENANT, zoo=ANOTHER).warnings
    assert warning.startswith("pipelines: acme/venue, zoo/venue relay different accounts of Tripleseat to reminders without an id_prefix")
    with_prefix = ANOTHER.replace('name = "venue"', 'name = "venue"\nid_prefix = "zoo-"')
    assert house(acme=TENANT, zoo=with_prefix).warnings == ()


def test_the_copy_of_a_tenants_file_is_told_as_one_and_never_of_prefixes(house: Write) -> None:
    """With ids of its own it would create all bookings again, and tell their guests of them (rule 16)."""
    for prefix in ("", 'id_prefix = "zoo-"\n'):
        (warning,) = house(acme=TENANT, zoo=TENANT + prefix).warnings
        assert warning.startswith("pipelines: acme/venue, zoo/venue ")
        assert "if one is a copy of another, remove it" in warning
        assert ("gets every message twice" in warning, "is refused" in warning) == (bool(prefix), not prefix)


@pytest.mark.parametrize("text", ["", "# nothing but words\n"])
def test_a_file_that_somebody_emptied_is_broken_and_no_tenant_that_ended(house: Write, text: str) -> None:
    before = house(acme=TENANT, zoo=ANOTHER)
    after = keep_running(house(acme=text, zoo=ANOTHER), before)
    assert [one.name for one in after.pipelines] == ["acme/venue", "zoo/venue"]
    assert "it is empty" in str(after.refusals["acme"])


def test_one_target_under_two_names_is_worth_a_warning(house: Write) -> None:
    (warning,) = house(acme=TENANT + OWN_TARGET, zoo=ANOTHER + OWN_TARGET).warnings
    assert warning.startswith("accounts: acme/reminders, zoo/reminders are one account under several names")


def test_a_tenants_change_is_another_digest(house: Write) -> None:
    digests = {house(acme=text).digest for text in (TENANT, TENANT + "# said beside\n", BROKEN, "[", "[[")}
    assert len(digests) == 4  # a comment says nothing


class TestReload:
    def test_a_refused_tenant_keeps_the_tables_it_had(self, house: Write) -> None:
        before = house(acme=TENANT, zoo=TENANT)
        after = keep_running(house(acme=BROKEN), before)
        assert after.pipeline("acme/venue") == before.pipeline("acme/venue")
        assert after.account("acme/site") == before.account("acme/site")
        assert list(after.refusals) == ["acme"]

    def test_they_are_kept_over_any_number_of_reloads_and_end_when_it_is_mended(self, house: Write) -> None:
        twice = keep_running(house(acme="["), keep_running(house(acme=BROKEN), house(acme=TENANT)))
        assert [one.name for one in twice.pipelines] == ["acme/venue"]
        mended = keep_running(house(acme=TENANT.replace("Main", "Small")), twice)
        assert mended.pipeline("acme/venue").calendar == "Small Hall"
        assert mended.refusals == {}

    def test_a_tenant_that_never_ran_has_nothing_to_keep(self, house: Write) -> None:
        after = keep_running(house(acme=BROKEN, zoo=TENANT), house(acme=None, zoo=TENANT))
        assert [one.name for one in after.pipelines] == ["zoo/venue"]

    def test_a_tenant_whose_file_is_gone_ends(self, house: Write) -> None:
        before = house(acme=TENANT, zoo=TENANT)
        assert [one.name for one in keep_running(house(acme=None), before).pipelines] == ["zoo/venue"]

    def test_tables_that_name_an_account_which_is_gone_are_not_kept(self, house: Write) -> None:
        before = house(acme=TENANT)
        after = keep_running(house(ROOT.replace("[accounts.reminders]", "[accounts.other]"), acme=TENANT), before)
        assert after.pipelines == ()
        assert list(after.refusals) == ["acme"]


def test_a_thousand_tenants_are_read_within_a_breath(house: Write) -> None:
    files = {f"t{number}": TENANT for number in range(1000)}
    began = time.process_time()
    config = house(**files)
    assert time.process_time() - began < 5  # 0.5 s on a slow machine; a second read of each, or a schema built for each, shows
    assert len(config.pipelines) == 1000
