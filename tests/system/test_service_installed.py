"""A whole installation, as root, on a copy of this machine that nobody else sees: from `init` over `service install` to `--purge`."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.system.sandbox import LIBRARIES, is_open

# Overlays in a mount namespace: the machine's own folders stay as they are, and its processes are not seen.
# systemctl only writes down what it is asked.
_COPY = """
set -eu
mount -t tmpfs copy /mnt
for place in etc usr/local var/lib opt; do
  mkdir -p /mnt/above/$place /mnt/work/$place
  mount -t overlay copy -o lowerdir=/$place,upperdir=/mnt/above/$place,workdir=/mnt/work/$place /$place
done
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/systemd/system
/usr/bin/python3 -m venv --without-pip /opt/calrelay
printf '%s\\n' "$LIBRARIES" > "$(echo /opt/calrelay/lib/python3*/site-packages)/libraries.pth"
printf '#!/opt/calrelay/bin/python\\nfrom calrelay.__main__ import main\\nmain()\\n' > /opt/calrelay/bin/calrelay
printf '#!/bin/sh\\necho "$@" >> /run/asked\\n' > /usr/local/bin/systemctl
chmod 755 /opt/calrelay/bin/calrelay /usr/local/bin/systemctl
export PATH=/usr/local/bin:$PATH PYTHONDONTWRITEBYTECODE=1
cd /root
"""
_INIT = """
mkdir -p /etc/calrelay
/opt/calrelay/bin/calrelay init --yes --vendor timetap --calendar Studio --set studio.private_key=credential:timetap_key \
  --set reminders.api_key=0123456789abcdef --set studio.api_key=340000 --set reminders.username=ops@example.com /etc/calrelay/config.toml
"""


pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="installing needs root"),
    pytest.mark.skipif(
        not is_open(Path("/usr/bin/python3")) or not shutil.which("useradd"), reason="needs the system's Python and useradd"
    ),
]


def on_a_copy(script: str) -> str:
    """Run a script on a copy of this machine, and return what it printed."""
    env = os.environ | {"LIBRARIES": "\n".join(LIBRARIES)}
    command = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--mount-proc", "sh", "-c", _COPY + script]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_it_is_installed_and_commands_run_as_its_user() -> None:
    """The config holds a literal secret: root:calrelay 0640 is private enough for it."""
    told = on_a_copy(
        _INIT
        + """
/opt/calrelay/bin/calrelay service install > /dev/null
echo secret > /etc/calrelay/credentials/timetap_key
cat /run/asked
stat -c '%n %U:%G %a' /etc/calrelay /etc/calrelay/credentials /etc/calrelay/config.toml /var/lib/calrelay /usr/local/bin/calrelay
grep -c sqlite:////var/lib/calrelay/calrelay.db /etc/calrelay/config.toml
calrelay pause studio
stat -c '%n %U:%G %a' /var/lib/calrelay/calrelay.db
calrelay check --offline > /dev/null && echo checked
"""
    ).splitlines()
    for line in (
        "enable --now calrelay.service",
        "/etc/calrelay root:calrelay 750",
        "/etc/calrelay/credentials root:root 700",
        "/etc/calrelay/config.toml root:calrelay 640",
        "/var/lib/calrelay calrelay:calrelay 700",
        "/usr/local/bin/calrelay root:root 755",
        "1",
        "/var/lib/calrelay/calrelay.db calrelay:calrelay 600",
        "checked",
    ):
        assert line in told


def test_without_a_config_a_skeleton_is_written_and_nothing_is_started() -> None:
    told = on_a_copy("/opt/calrelay/bin/calrelay service install; cat /run/asked; stat -c '%n %U:%G %a' /etc/calrelay/config.toml")
    assert "Not started: fill in /etc/calrelay/config.toml" in told
    assert "enable calrelay.service\n" in told
    assert "/etc/calrelay/config.toml root:calrelay 640" in told


def test_purge_leaves_the_machine_as_it_was() -> None:
    told = on_a_copy(
        _INIT
        + """
/opt/calrelay/bin/calrelay service install > /dev/null
/opt/calrelay/bin/calrelay service uninstall --purge > /dev/null
find /etc /var/lib /usr/local \\( -path '*calrelay*' -o -path '*_calrelay*' \\) -not -type c -not -path '/usr/local/lib/*' 2>/dev/null
id calrelay 2>/dev/null || echo no user
"""
    )
    assert told.splitlines()[-1] == "no user"
    assert [line for line in told.splitlines() if line.startswith(("/etc", "/var", "/usr"))] == []


def test_it_may_be_installed_twice_and_says_so() -> None:
    told = on_a_copy(_INIT + "/opt/calrelay/bin/calrelay service install > /dev/null; calrelay service install")
    assert told.count("as it should be") > 10
    assert "done  write" not in told


def test_this_machine_is_as_it_was() -> None:
    on_a_copy("/opt/calrelay/bin/calrelay service install > /dev/null; echo made > /etc/calrelay-was-here")
    assert not Path("/etc/calrelay-was-here").exists()
