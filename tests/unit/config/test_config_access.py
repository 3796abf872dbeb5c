"""Whose a file is, and who may read it: one user, or a service by a group of its own."""

import grp
import os
import pwd
from pathlib import Path

import pytest

from calrelay.config.access import others_may_open
from calrelay.config.secrets import Kind, SecretRef

SERVICE, STAFF = 990, 50


def a_file(mode: int, *, owner: int = 0, group: int = SERVICE) -> os.stat_result:
    return os.stat_result((0o100000 | mode, 1, 1, 1, owner, group, 1, 0, 0, 0))


@pytest.fixture(autouse=True)
def _groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Group 990 is calrelay's own; group 50 has members; user calrelay's primary group is 990."""

    def group_of(gid: int) -> grp.struct_group:
        return {
            SERVICE: grp.struct_group(("calrelay", "x", SERVICE, [])),
            STAFF: grp.struct_group(("staff", "x", STAFF, ["alice"])),
            0: grp.struct_group(("root", "x", 0, [])),
        }[gid]

    def user_of(name: str) -> pwd.struct_passwd:
        return pwd.struct_passwd((name, "x", 0, {"calrelay": SERVICE, "staff": STAFF, "root": 0}[name], "", "/", "/bin/sh"))

    monkeypatch.setattr(grp, "getgrgid", group_of)
    monkeypatch.setattr(pwd, "getpwnam", user_of)


@pytest.mark.parametrize("owner", [0, 1000])
def test_a_file_of_one_user_is_private(owner: int) -> None:
    assert not others_may_open(a_file(0o600, owner=owner))
    assert not others_may_open(a_file(0o400, owner=owner))


def test_a_file_of_root_that_a_service_reads_by_its_own_group_is_private() -> None:
    assert not others_may_open(a_file(0o640))


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o660, 0o650, 0o641])
def test_every_other_right_is_too_much(mode: int) -> None:
    assert others_may_open(a_file(mode))


@pytest.mark.parametrize(("owner", "group"), [(1000, SERVICE), (0, STAFF), (0, 0), (0, 12345)])
def test_a_group_of_others_is_too_much(owner: int, group: int) -> None:
    assert others_may_open(a_file(0o640, owner=owner, group=group))


def test_a_group_with_another_member_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grp, "getgrgid", lambda gid: grp.struct_group(("calrelay", "x", gid, ["calrelay", "alice"])))
    assert others_may_open(a_file(0o640))


@pytest.mark.parametrize("names", [["calrelay_api_key"], ["api_key"], ["api_key", "calrelay_api_key"]])
def test_a_credential_is_found_by_its_name_or_as_the_unit_s_folder_names_it(
    tmp_path: Path, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in names:
        (tmp_path / name).write_text(f"secret of {name}\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert SecretRef(kind=Kind.CREDENTIAL, value="api_key").resolve(tmp_path) == f"secret of {names[0]}"
