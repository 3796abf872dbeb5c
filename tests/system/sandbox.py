"""What calrelay.service closes, closed without a running systemd: a user, a read-only machine, the unit's syscall filter.

Run as a program it is the last link before the daemon: it refuses writable code and what the unit refuses, then becomes its command.
"""

import ctypes
import errno
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from calrelay.cli.shipped import shipped

USER = "nobody"
_PR_SET_NO_NEW_PRIVS, _PR_SET_MDWE, _REFUSE_EXEC_GAIN = 38, 65, 1
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_CLOSE = """
set -eu
mount --bind "$1" "$1"
mount -o remount,bind,ro /
for place in /dev/shm /run; do if mountpoint -q $place; then mount -o remount,bind,ro $place; fi; done
mount -t proc -o subset=pid,hidepid=invisible proc /proc
shift
exec setpriv --reuid=nobody --regid=nogroup --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all -- "$@"
"""


def closed(state: Path, *command: str) -> list[str]:
    """Return a command as the unit would run it: it may write below `state`, and nowhere else."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", _CLOSE, "sh", str(state), PYTHON, __file__, *command]


def is_open(path: Path) -> bool:
    """Tell whether anybody may reach a path and read it."""
    real = path.resolve()
    return real.exists() and all(part.stat().st_mode & 0o001 for part in real.parents) and bool(real.stat().st_mode & 0o004)


# A Python in somebody's home is closed to the service, and to these tests: the system's does, with our libraries.
PYTHON = sys.executable if is_open(Path(sys.executable)) else "/usr/bin/python3"
LIBRARIES = [place for place in sys.path if place and is_open(Path(place))]


def allowed_syscalls() -> set[str]:
    """Return what SystemCallFilter= of the unit allows; by systemd.exec(5) the first line is the ground, and "~" takes away."""
    allowed: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.+)$", shipped("systemd/calrelay.service"), flags=re.MULTILINE):
        names = {name for group in line.removeprefix("~").split() for name in _members(group)}
        allowed = allowed - names if line.startswith("~") else allowed | names
    return allowed


def _members(name: str) -> Iterator[str]:
    if not name.startswith("@"):
        yield name
        return
    told = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
    for line in told.splitlines()[1:]:
        member = line.strip()
        if member and not member.startswith("#"):
            yield from _members(member)


def _refuse_what_the_unit_refuses(allowed: Sequence[str]) -> None:
    libc, seccomp = ctypes.CDLL(None), ctypes.CDLL("libseccomp.so.2")
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_MDWE, _REFUSE_EXEC_GAIN, 0, 0, 0)  # from Linux 6.3 on; older kernels go without
    seccomp.seccomp_init.restype = ctypes.c_void_p
    seccomp.seccomp_rule_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint]
    seccomp.seccomp_load.argtypes = [ctypes.c_void_p]
    context = seccomp.seccomp_init(_REFUSE)
    for name in allowed:
        if (number := seccomp.seccomp_syscall_resolve_name(name.encode())) >= 0:
            seccomp.seccomp_rule_add(context, _ALLOW, number, 0)
    if seccomp.seccomp_load(context) != 0:
        sys.exit("the syscall filter cannot be loaded")


if __name__ == "__main__":
    _refuse_what_the_unit_refuses(sorted(allowed_syscalls()))
    os.execvp(sys.argv[1], sys.argv[1:])
