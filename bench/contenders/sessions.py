"""What somebody who writes a destination for one of the toolkits would use to send: a session that repeats what failed."""

from typing import Any

import requests
from mapping import to_body
from requests.adapters import HTTPAdapter
from urllib3.util import Retry


def a_session() -> requests.Session:
    """Return a session that asks five times, a little later each time."""
    session = requests.Session()
    retry = Retry(total=5, status_forcelist=[502, 503, 504], allowed_methods=None, backoff_factor=0.5)
    session.mount("http://", HTTPAdapter(max_retries=retry))
    session.headers["Authorization"] = "Bearer bench"
    return session


def put(session: requests.Session, base: str, events: list[dict[str, Any]]) -> None:
    """Send one batch, and read its answer."""
    answer = session.put(f"{base}/events", json=to_body(events), timeout=60)
    answer.raise_for_status()
    answer.json()
