"""What PostgreSQL says when it fails, by SQLSTATE, in our words. Its own texts are never repeated: they quote rows, and rows hold tokens.

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from typing import NamedTuple


class Words(NamedTuple):
    """What is said of a database, and what to do about it."""

    what: str
    remedy: str


ADDRESS = "`url` under [state]"  # what an address is called that comes from the config
_ACCESS = f"look at user and password in {ADDRESS} (percent-encoded: @ is %40), and at the server's pg_hba.conf"
_GONE = "look at the server (is it running, restarting, out of memory?), then run the same again: what was recorded is kept"
_SHAPE = "it was changed by hand, or restored in part: restore a whole backup"
_AGAIN = "run the same again; if it stays, look at pg_stat_activity for a session that holds its locks"

# By the whole code first, then by its class, the first two characters.
_WORDS = {
    "28": Words("refuses this user or password", _ACCESS),
    "3D000": Words("does not exist on its server", f"createdb, or correct the name at the end of {ADDRESS}"),
    "42501": Words(
        "may not be written by this user",
        "let the user own the database (ALTER DATABASE … OWNER TO …), or its schema: docs/scaling.md, In a shared database",
    ),
    "3F000": Words(
        "has no schema for this user's tables",
        "as a superuser: CREATE SCHEMA calrelay AUTHORIZATION calrelay; docs/scaling.md, In a shared database, has the rest",
    ),
    "25006": Words("only lets itself be read", f"it is a standby: name the primary in {ADDRESS}"),
    "25P03": Words(
        "ended a transaction that stood still for too long", "was this process stopped, or the machine suspended? Run the same again"
    ),
    "55P03": Words("is locked by another process", _AGAIN),
    "57014": Words("took too long for a statement", _AGAIN),
    "40": Words("had to break off a transaction that got in another's way", "run the same again"),
    "53100": Words("does not fit on its disk any more", "free some space and try again; what was recorded is kept"),
    "53300": Words(
        "has no connection left for us",
        "raise max_connections of the server, or the CONNECTION LIMIT of user or database; a daemon needs up to five, a worker nine",
    ),
    "53": Words("has run out of memory or other means", "look at the server's log"),
    "57P": Words("was shut down, or is starting", _GONE),
    "08": Words("cannot be reached, or broke off the connection", _GONE),
    "42P01": Words("does not have the tables this program expects", _SHAPE),
    "42": Words("does not have the shape this program expects", _SHAPE),
    "XX": Words("is damaged", "look at the server's log, and restore a backup"),
    "58": Words("could not be read or written by its disk", "look at the disk's health and the server's log"),
}
_UNREACHABLE = _WORDS["08"]
_OTHER = Words("does not answer as it should", f"look at the server and at {ADDRESS}, then try again")

# The driver gives no code where no session came to be; what it says then quotes names of users and databases at most.
_SAID_ON_CONNECTING = {
    "too many c": _WORDS["53300"],  # clients; connections for role, for database
    "remaining connection slots": _WORDS["53300"],
    "password": _WORDS["28"],
    "pg_hba.conf": _WORDS["28"],
    "role ": _WORDS["28"],
    "does not exist": _WORDS["3D000"],
    "starting up": _WORDS["57P"],
    "shutting down": _WORDS["57P"],
}


def words_for(code: str | None, said: str | None) -> Words:
    """Return the words for an error; `said` is what was said of a connection that has no code. It is looked at, and never passed on."""
    if code is not None:
        known = (_WORDS.get(code[:length]) for length in (5, 3, 2))
        return next((words for words in known if words), _OTHER)
    if said is None:
        return _OTHER
    return next((words for sign, words in _SAID_ON_CONNECTING.items() if sign in said), _UNREACHABLE)
