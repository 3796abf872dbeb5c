"""Everything that runs beside the passes of a daemon, in one list."""

from calrelay.service.daemon import Service
from calrelay.service.upkeep import feed_watchdog, keep_consents

SERVICES: tuple[Service, ...] = (feed_watchdog, keep_consents)
