"""Made-up people for the simulated vendors: example.com addresses and 555-01xx numbers only, the same for the same seed."""

import dataclasses
import random

FIRST = (
    "Ana",
    "Ben",
    "Cleo",
    "Dev",
    "Elif",
    "Finn",
    "Gia",
    "Hugo",
    "Iris",
    "Jonah",
    "Kira",
    "Luis",
    "Mina",
    "Noor",
    "Otis",
    "Pia",
    "Quinn",
    "Rosa",
    "Sami",
    "Tess",
    "Uma",
    "Vito",
    "Wren",
    "Ximena",
    "Yara",
    "Zeno",
)
LAST = (
    "Abbott",
    "Bell",
    "Castro",
    "Dunn",
    "Ellery",
    "Ferro",
    "Grant",
    "Hale",
    "Ito",
    "Jansen",
    "Kerr",
    "Lopez",
    "Marsh",
    "Nolan",
    "Okafor",
    "Park",
    "Quill",
    "Reyes",
    "Stone",
    "Turner",
    "Usher",
    "Vance",
    "Webb",
    "Xu",
    "Young",
    "Zell",
)
AREA_CODES = ("212", "312", "415", "604", "617", "416", "206", "303", "713")  # real areas, so that 555-01xx numbers are valid


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who does not exist; `phone` is ten digits without country code, as vendors keep it."""

    number: int
    first_name: str
    last_name: str
    email: str
    phone: str


def a_person(rng: random.Random, number: int) -> Person:
    """Make the person with this number; two numbers never share an address, a hundred of them share an area code."""
    first, last = rng.choice(FIRST), rng.choice(LAST)
    area = AREA_CODES[(number // 100) % len(AREA_CODES)]
    return Person(
        number=number,
        first_name=first,
        last_name=last,
        email=f"{first}.{last}.{number}@example.com".lower(),
        phone=f"{area}-555-01{number % 100:02d}",
    )
