"""Everything that runs beside the passes of a daemon, in one list."""

from calrelay.service.daemon import Service
from calrelay.service.hooks.serving import serve_hooks
from calrelay.service.notify import keep_watch
from calrelay.service.pulse import show_life
from calrelay.service.upkeep import feed_watchdog, keep_consents, keep_house, keep_lock
from calrelay.service.web.server import serve_pages

SERVICES: tuple[Service, ...] = (feed_watchdog, keep_lock, keep_consents, keep_house, keep_watch, show_life, serve_pages, serve_hooks)
