"""The vendors that send webhooks. Another one is a `hooks.py` in its folder and a line here; its account has a `webhook_secret`."""

from collections.abc import Callable, Mapping
from typing import Final

from calrelay.ports import Hook
from calrelay.vendors.timetap.hooks import TimeTapHook
from calrelay.vendors.tripleseat.hooks import TripleseatHook

HOOKS: Final[Mapping[str, Callable[[str], Hook]]] = {hook.vendor: hook for hook in (TripleseatHook, TimeTapHook)}
"""By vendor: what makes a hook from its secret."""
