"""People who do not exist, and the mistakes they make: Persian, Arabic and English names, families, movers."""

import random
from collections.abc import Iterator

# Each name in several spellings: two records of a person may use two.
GIVEN = (
    ("محمد", "Mohammad", "Muhamed"), ("علی", "علي", "Ali"), ("حسین", "حسين", "Hossein", "Hussain"), ("رضا", "Reza"),
    ("فاطمه", "Fatemeh", "Fatima"), ("زهرا", "Zahra"), ("مریم", "مريم", "Maryam"), ("یوسف", "يوسف", "Yousef", "Yusuf"),
    ("خالد", "Khaled", "Khalid"), ("لیلا", "Leila", "Layla"), ("نرگس", "Narges"), ("سعید", "Saeed", "Said"),
    ("John", "john"), ("Sarah", "Sara"), ("Michael", "Micheal"), ("Emily",), ("Oliver",), ("Charlotte",), ("Daniel",),
    ("Grace",), ("Benjamin",), ("Hannah", "Hanna"), ("Thomas",), ("Isabella",), ("Jack",), ("Amelia",),
)  # fmt: skip
SURNAMES = (
    ("محمدی", "محمدي", "Mohammadi"), ("حسینی", "حسيني", "Hosseini"), ("کریمی", "كريمي", "Karimi"), ("رضایی", "Rezaei"),
    ("الهاشمی", "الهاشمي", "Alhashemi"), ("نجفی", "Najafi"), ("صادقی", "Sadeghi"), ("قاسمی", "Ghasemi"),
    ("Smith",), ("Johnson",), ("O'Brien", "OBrien"), ("Müller", "Muller"), ("Williams",),
    ("Campbell",), ("Harrington",),
    ("Fitzgerald",), ("Patterson",), ("Whitaker",), ("Lindqvist",), ("Castellano",), ("Abernathy",), ("Dubois",),
)  # fmt: skip
STREETS = tuple(
    f"{first} {kind}"
    for first in (
        "Azadi",
        "Valiasr",
        "High",
        "Mill",
        "Church",
        "Palm",
        "Cedar",
        "Harbour",
        "Station",
        "Orchard",
        "Garden",
    )
    for kind in ("Street", "Avenue", "Lane", "Road")
)
_NAMES = "Tehran Shiraz Isfahan Tabriz Cairo Amman Basra London Leeds York Bath Derby"
CITIES = tuple((city, str(code)) for code, city in enumerate(_NAMES.split(), 10))
TITLES = ("", "", "", "Dr. ", "آقای ", "خانم ", "Mr ")

Record = tuple[int, dict[str, str]]


def _person(draw: random.Random) -> dict[str, tuple[str, ...]]:
    city, code = draw.choice(CITIES)
    return {
        "given_name": draw.choice(GIVEN),
        "surname": draw.choice(SURNAMES),
        "birth_date": (f"{draw.randint(1940, 2005)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}",),
        "address_1": (f"{draw.randint(1, 180)} {draw.choice(STREETS)}",),
        "suburb": (city,),
        "postcode": (f"{code}{draw.randint(0, 399):03}",),
        "phone": (f"09{draw.randint(10**8, 10**9 - 1)}",),
    }


def _typo(text: str, draw: random.Random) -> str:
    at = draw.randrange(max(len(text) - 1, 1))
    kind = draw.randrange(3)
    if kind == 0:
        return text[:at] + text[at + 1 :]
    if kind == 1:
        return text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :]
    return text[:at] + draw.choice("aeinrst0123456789") + text[at:]


def _written(person: dict[str, tuple[str, ...]], draw: random.Random) -> dict[str, str]:
    record = {trait: draw.choice(forms) for trait, forms in person.items()}
    record["given_name"] = draw.choice(TITLES) + record["given_name"]
    for trait in draw.sample(sorted(record), draw.randint(0, 2)):
        record[trait] = _typo(record[trait], draw)
    if draw.random() < 0.1:
        record["given_name"], record["surname"] = record["surname"], record["given_name"]
    for trait in ("birth_date", "phone", "address_1", "suburb"):
        if draw.random() < 0.12:
            del record[trait]
    return record


def people(count: int, seed: int) -> Iterator[Record]:
    """Yield (person, traits) in a mixed order: a third write twice or thrice, a fifth live with a relative."""
    draw = random.Random(seed)
    records: list[Record] = []
    earlier = _person(draw)
    household = [earlier["given_name"]]
    for number in range(count):
        person = _person(draw)
        if draw.random() < 0.2:
            person |= {trait: earlier[trait] for trait in ("surname", "address_1", "suburb", "postcode", "phone")}
            # No two of one household have one given name: what nothing tells apart is no test.
            person["given_name"] = draw.choice([each for each in GIVEN if each not in household])
        else:
            household = []
        household.append(person["given_name"])
        times = draw.choice((1, 1, 2, 3)) if draw.random() < 0.67 else 1
        records += [(number, _written(person, draw)) for _ in range(times)]
        earlier = person
    draw.shuffle(records)
    yield from records
