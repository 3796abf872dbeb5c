"""`service install` and `uninstall` on a machine made up in a folder: what is told is what is done, and nothing of anybody's is lost."""

import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from calrelay.cli import installing
from calrelay.cli.installing import Mode, Wishes, hidden_place, installation, require_reachable, skeleton
from calrelay.cli.machine import Machine
from calrelay.cli.output import Output
from calrelay.cli.shipped import shipped
from calrelay.cli.steps import File, doing, is_sealed, undoing
from calrelay.config.load import load_config
from calrelay.errors import ConfigError
from calrelay.vendors.registry import VENDORS
from tests.unit.cli.schemas import assert_fits

PROGRAM = Path("/opt/elsewhere/bin/calrelay")


class MadeUp(Machine):
    """A machine whose users, owners and commands are remembered; its files are real, below a folder."""

    def __init__(self) -> None:
        self.users: set[str] = set()
        self.owners: dict[Path, tuple[str, str]] = {}
        self.ran: list[str] = []

    def has_user(self, name: str) -> bool:
        return name in self.users

    def run(self, *words: str) -> None:
        self.ran.append(" ".join(words))
        if words[0] == "useradd":
            self.users.add(words[-1])
        if words[0] == "userdel":
            self.users.remove(words[-1])

    def own(self, path: Path, user: str, group: str) -> None:
        name = path.name.removeprefix(".").removesuffix(".new") if path.name.endswith(".new") else path.name
        self.owners[path.with_name(name)] = (user, group)

    def owner(self, path: Path) -> tuple[str, str]:
        return self.owners.get(path, ("somebody", "else"))


class Desk:
    """An administrator at a machine."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self.machine, self.capsys = root, MadeUp(), capsys
        (root / "run/systemd/system").mkdir(parents=True)

    def at(self, path: str) -> Path:
        return self.root / path.removeprefix("/")

    def install(self, mode: Mode = Mode.DO, *, starts: bool = True, replaces_edited: bool = False) -> str:
        wishes = Wishes(program=PROGRAM, root=self.root, starts=starts, replaces_edited=replaces_edited)
        installing.install(Output(), mode, wishes, self.machine)
        return self.capsys.readouterr().out

    def uninstall(self, mode: Mode = Mode.DO, *, is_purging: bool = False) -> str:
        installing.uninstall(Output(), mode, Wishes(program=PROGRAM, root=self.root), self.machine, is_purging=is_purging)
        return self.capsys.readouterr().out

    def files(self) -> dict[str, bytes]:
        return {str(path.relative_to(self.root)): path.read_bytes() for path in self.root.rglob("*") if path.is_file()}

    def configure(self) -> None:
        self.at("/etc/calrelay").mkdir(parents=True, exist_ok=True)
        self.at("/etc/calrelay/config.toml").write_text(skeleton())


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(installing, "require_reachable", lambda _: None)
    return Desk(tmp_path, capsys)


def test_a_dry_run_writes_nothing_and_tells_each_file(desk: Desk) -> None:
    told = desk.install(Mode.SHOW)
    assert desk.files() == {}
    assert desk.machine.ran == []
    assert "Nothing was done." in told
    desk.install()
    assert [path for path in desk.files() if f"{desk.root}/{path}" not in told] == []


def test_a_dry_run_says_what_would_keep_it_from_being_done(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "refused" not in desk.install(Mode.SHOW)
    monkeypatch.setattr(installing, "require_reachable", require_reachable)
    told = desk.install(Mode.SHOW)
    assert f"It would be refused: there is no {PROGRAM}" in told
    assert "→" in told


def test_where_nothing_is_installed_there_is_nothing_to_take_away(desk: Desk) -> None:
    assert desk.uninstall(Mode.SHOW).startswith("Nothing of the service is on this machine.\n")


def test_the_service_has_its_own_config_and_says_so_where_another_is_named() -> None:
    installing.require_own_config(None)
    installing.require_own_config(Path("/etc/calrelay/config.toml"))
    with pytest.raises(ConfigError, match="--config names mine"):
        installing.require_own_config(Path("mine.toml"))


def test_whoever_is_not_root_is_shown_what_would_be_done(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "calrelay.service" in desk.install()
    assert desk.files() == {}


def test_a_first_install_writes_a_skeleton_that_loads_and_does_not_start(desk: Desk) -> None:
    told = desk.install()
    config = load_config(desk.at("/etc/calrelay/config.toml"), VENDORS)
    assert config.state.url.value == "sqlite:////var/lib/calrelay/calrelay.db"
    assert desk.machine.ran[-2:] == ["systemctl daemon-reload", "systemctl enable calrelay.service"]
    assert "Not started" in told


def test_with_a_config_it_starts_at_once(desk: Desk) -> None:
    desk.configure()
    desk.install()
    assert desk.machine.ran[-1] == "systemctl enable --now calrelay.service"


def test_no_start_is_obeyed(desk: Desk) -> None:
    desk.configure()
    desk.install(starts=False)
    assert desk.machine.ran[-1] == "systemctl enable calrelay.service"


def test_a_config_that_is_there_keeps_its_words_and_gets_its_rights(desk: Desk) -> None:
    desk.configure()
    config = desk.at("/etc/calrelay/config.toml")
    config.write_text(f"# mine\n{skeleton()}")
    desk.install()
    assert config.read_text().startswith("# mine\n")
    assert (config.stat().st_mode & 0o777, desk.machine.owners[config]) == (0o640, ("root", "calrelay"))


def test_the_second_time_nothing_is_left_to_do_but_tell_systemd(desk: Desk) -> None:
    desk.configure()
    desk.install()
    before, desk.machine.ran = desk.files(), []
    told = desk.install()
    assert desk.files() == before
    assert desk.machine.ran == ["systemctl daemon-reload", "systemctl enable --now calrelay.service"]
    assert told.count("as it should be") == len(installation(Wishes(root=desk.root), starts=True)) - 3


def test_a_unit_that_somebody_edited_is_kept_and_named(desk: Desk) -> None:
    desk.install()
    unit = desk.at("/etc/systemd/system/calrelay.service")
    unit.write_text(unit.read_text().replace("RestartSec=10s", "RestartSec=1h"))
    told = desk.install()
    assert "RestartSec=1h" in unit.read_text()
    assert re.search(rf"EDITED, kept +write {re.escape(str(unit))}", told)
    assert "--replace-edited" in told


def test_an_edited_unit_is_replaced_on_request_and_set_aside(desk: Desk) -> None:
    desk.install()
    unit = desk.at("/etc/systemd/system/calrelay.service")
    unit.write_text("[Service]\n# mine\n")
    desk.install(replaces_edited=True)
    assert is_sealed(unit.read_text())
    assert unit.with_name("calrelay.service.edited").read_text() == "[Service]\n# mine\n"


def test_a_unit_of_an_older_release_is_replaced(desk: Desk) -> None:
    desk.install()
    unit = desk.at("/etc/systemd/system/calrelay.service")
    unit.write_text(File(path=unit, text="[Service]\n# of last year\n").sealed)
    desk.install()
    assert "LoadCredential=" in unit.read_text()


def test_the_files_name_the_program_that_installed_them(desk: Desk) -> None:
    desk.install()
    units = ("calrelay.service", "calrelay-backfill@.service", "calrelay-worker@.service")
    for name in (*(f"/etc/systemd/system/{unit}" for unit in units), "/usr/local/bin/calrelay"):
        text = desk.at(name).read_text()
        assert str(PROGRAM) in text
        assert "/opt/calrelay/" not in text


def test_uninstall_keeps_config_and_state(desk: Desk) -> None:
    desk.install()
    (state := desk.at("/var/lib/calrelay/calrelay.db")).write_text("precious")
    desk.machine.ran = []
    told = desk.uninstall()
    assert sorted(desk.files()) == ["etc/calrelay/config.toml", "var/lib/calrelay/calrelay.db"]
    assert state.read_text() == "precious"
    assert desk.machine.ran == [
        "systemctl stop calrelay-backfill@*.service calrelay-worker@*.service",
        "systemctl disable --now calrelay.service",
        "systemctl daemon-reload",
    ]
    assert "--purge" in told


def test_purge_leaves_nothing(desk: Desk) -> None:
    desk.install()
    desk.at("/var/lib/calrelay/calrelay.db").write_text("precious")
    desk.uninstall(is_purging=True)
    assert desk.files() == {}
    assert desk.machine.users == set()


def test_an_edited_file_survives_even_an_uninstallation(desk: Desk) -> None:
    desk.install()
    unit = desk.at("/etc/systemd/system/calrelay.service")
    unit.write_text("[Service]\n# mine\n")
    assert "which was edited" in desk.uninstall(Mode.SHOW)
    desk.uninstall()
    assert unit.with_name("calrelay.service.edited").exists()


def test_where_nothing_is_installed_nothing_is_uninstalled(desk: Desk) -> None:
    desk.uninstall(is_purging=True)
    assert desk.machine.ran == []


def test_without_systemd_it_says_so_before_it_does_anything(desk: Desk) -> None:
    shutil.rmtree(desk.at("/run"))
    with pytest.raises(ConfigError, match="systemd does not run this machine"):
        desk.install()
    assert desk.files() == {}


def test_a_database_outside_the_state_folder_is_refused_before_anything_is_done(desk: Desk) -> None:
    desk.configure()
    config = desk.at("/etc/calrelay/config.toml")
    config.write_text(config.read_text().replace("sqlite:////var/lib/calrelay/calrelay.db", "sqlite:///calrelay.db"))
    with pytest.raises(ConfigError, match=r"/etc/calrelay/calrelay\.db lies outside /var/lib/calrelay"):
        desk.install()
    assert desk.machine.ran == []


def test_a_program_that_only_its_owner_may_reach_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "hidden_place", lambda _: "")
    with pytest.raises(ConfigError, match="environment of its own"):
        require_reachable(tmp_path / "bin" / "calrelay")
    tmp_path.chmod(0o700)
    (program := tmp_path / "calrelay").touch()
    with pytest.raises(ConfigError, match="may not enter"):
        require_reachable(program)


def test_a_program_where_the_unit_cannot_see_it_is_refused_with_a_place_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "_HIDDEN", {str(tmp_path.resolve()): "among temporary files"})
    (program := tmp_path / "calrelay").touch()
    with pytest.raises(ConfigError, match="lies among temporary files, which the service does not see") as refused:
        require_reachable(program)
    assert "/opt/calrelay" in refused.value.remedy


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/tmp/try/.venv/bin/calrelay", "among temporary files"),
        ("/var/tmp/try/bin/calrelay", "among temporary files"),
        ("/dev/shm/bin/calrelay", "among devices"),
        ("/home/ana/calrelay/.venv/bin/calrelay", "in somebody's home"),
        ("/root/.venv/bin/calrelay", "in somebody's home"),
        ("/opt/calrelay/bin/calrelay", ""),
        ("/tmpfiles/bin/calrelay", ""),
        ("/homes/bin/calrelay", ""),
    ],
)
def test_it_is_known_what_the_unit_hides(path: str, where: str) -> None:
    assert hidden_place(Path(path)) == where


def test_the_unit_hides_what_it_is_said_to_hide() -> None:
    unit = shipped("systemd/calrelay.service")
    assert all(setting in unit for setting in ("ProtectHome=yes", "PrivateTmp=yes", "PrivateDevices=yes"))


@pytest.mark.parametrize("action", ["install", "uninstall"])
def test_the_document_fits_its_schema(desk: Desk, action: str) -> None:
    wishes = Wishes(program=PROGRAM, root=desk.root)
    if action == "install":
        installing.install(Output(as_json=True), Mode.DO, wishes, desk.machine)
    else:
        installing.uninstall(Output(as_json=True), Mode.SHOW, wishes, desk.machine, is_purging=True)
    document = json.loads(desk.capsys.readouterr().out)
    assert_fits(document, "service")
    assert document["action"] == action


def test_every_step_that_makes_something_can_take_it_away_again(desk: Desk) -> None:
    steps = installation(Wishes(program=PROGRAM, root=desk.root), starts=True)
    desk.install()
    made: Sequence[object] = [step for step in steps if doing(step) and not doing(step).startswith("run ")]
    assert made == [step for step in made if undoing(step, is_purging=True)]  # type: ignore[arg-type] # narrowed by eye


# --- what the units say ---


@pytest.mark.parametrize("name", ["systemd/calrelay.service", "systemd/calrelay-backfill@.service", "systemd/calrelay-worker@.service"])
@pytest.mark.parametrize(
    "line",
    ["User=calrelay", "StateDirectory=calrelay", "TimeoutStopSec=30s", "LoadCredential=calrelay:/etc/calrelay/credentials/", "LimitCORE=0"],
)
def test_all_units_say(name: str, line: str) -> None:
    assert line in shipped(name).splitlines()


def test_a_backfill_by_unit_has_no_default_for_messages() -> None:
    unit = shipped("systemd/calrelay-backfill@.service")
    assert "--messages ${MESSAGES}" in unit
    assert "Environment=" not in unit.replace("EnvironmentFile=", "")
    assert "EnvironmentFile=/etc/calrelay/backfill/%i.env" in unit  # without "-": the file must be there


def test_the_unit_waits_longer_than_the_daemon() -> None:
    from calrelay.service.daemon import STOP_WITHIN  # noqa: PLC0415 - heavy

    assert STOP_WITHIN.total_seconds() < 30
