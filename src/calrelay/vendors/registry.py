"""The vendors of this release. A new one is a folder and a line here."""

from collections.abc import Mapping
from typing import Final

from calrelay.config.vendor import VendorConfig
from calrelay.vendors.apptoto import settings as apptoto
from calrelay.vendors.timetap import settings as timetap
from calrelay.vendors.tripleseat import settings as tripleseat

VENDORS: Final[Mapping[str, VendorConfig]] = {vendor.name: vendor for vendor in (tripleseat.VENDOR, timetap.VENDOR, apptoto.VENDOR)}
