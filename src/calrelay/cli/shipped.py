"""The files that travel with calrelay for the machine it runs on: units, wrapper, completion, man page. Their texts live in packaging/."""

from pathlib import Path
from typing import Final

import calrelay

PROGRAM: Final = "/opt/calrelay/bin/calrelay"  # as the shipped files have it; `service install` writes where it really is
SERVICE_CONFIG: Final = Path("/etc/calrelay/config.toml")
CREDENTIALS: Final = Path("/etc/calrelay/credentials")  # each file in it is handed to the service by systemd
SERVICE_UNIT: Final = Path("/etc/systemd/system/calrelay.service")
SERVICE_STATE: Final = "sqlite:////var/lib/calrelay/calrelay.db"  # in the only folder that the service may write


def shipped(name: str) -> str:
    """Return the text of a file in packaging/, from the wheel or from the checkout."""
    package = Path(calrelay.__file__).parent
    places = (package / "packaging", package.parents[1] / "packaging")
    return (next(place for place in places if place.is_dir()) / name).read_text("utf-8")
