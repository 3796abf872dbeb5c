"""Who besides its owner may open a file that holds secrets."""

import grp
import os
import pwd
import stat


def others_may_open(status: os.stat_result) -> bool:
    """Tell whether anybody but one user, and root, may open a file.

    That is a file of one user (0600), or one of root's that a service reads by its own group (root:calrelay 0640): the group is the primary
    one of a user of the same name, and has no further members.
    """
    if status.st_mode & stat.S_IRWXO or status.st_mode & stat.S_IRWXG & ~stat.S_IRGRP:
        return True
    return bool(status.st_mode & stat.S_IRGRP) and not (status.st_uid == 0 and _is_of_one_user(status.st_gid))


def _is_of_one_user(gid: int) -> bool:
    try:
        group = grp.getgrgid(gid)
        user = pwd.getpwnam(group.gr_name)
    except KeyError:
        return False
    return gid != 0 and user.pw_gid == gid and set(group.gr_mem) <= {user.pw_name}
