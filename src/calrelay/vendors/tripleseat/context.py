"""What a mapping needs to know besides a Tripleseat row."""

import dataclasses
from collections.abc import Mapping

from calrelay.domain.people import Role


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a row does not say itself.

    `zones` are the config's overrides by "site:<id>" and "location:<id>", `site_zones` what each site says of itself by its id. `people`
    are the roles the pipeline wants to reach, `region` how phone numbers without a country code are read. `explains` asks for reasoning.
    """

    people: frozenset[Role] = frozenset({Role.CONTACT})
    region: str = "US"
    zones: Mapping[str, str] = dataclasses.field(default_factory=dict)
    site_zones: Mapping[str, str] = dataclasses.field(default_factory=dict)
    explains: bool = True
