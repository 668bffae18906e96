"""Generates companies and people whose numbers have valid check digits."""

from __future__ import annotations

import random
from dataclasses import dataclass

FIRST = (
    *("Officine", "Forniture", "Trasporti", "Studio", "Cantina", "Edilizia", "Farmacia", "Tipografia", "Molino"),
    *("Caseificio", "Ferramenta", "Logistica", "Energia", "Acque", "Tessitura", "Ottica", "Vivaio", "Panificio"),
)
SECOND = (
    *("Brambilla", "dell'Arno", "Esposito", "Santa Lucia", "Adriatica", "Nord Est", "Città Alta", "Due Torri"),
    *("San Marco", "Bevilacqua", "Etrusca", "Val d'Orcia", "Però & Figli", "Tirrena", "Gambini", "Lo Scoglio"),
)
FORMS = ("S.r.l.", "S.p.A.", "S.n.c.", "S.a.s.", "Soc. Coop.")
NAMES = ("Giulia", "Niccolò", "Chiara", "Matteo", "Noè", "Elisa", "Davide", "Sofia", "Tommaso", "Irene")
SURNAMES = ("Rossi", "Ferrari", "D'Angelo", "Bianchi", "Colombo", "Greco", "Lombardi", "Serafini", "Zanetti")
STREETS = ("Via Roma", "Viale della Libertà", "Piazza Cavour", "Corso Italia", "Via XX Settembre")
TOWNS = (
    *(("50053", "Empoli", "FI"), ("40128", "Bologna", "BO"), ("20121", "Milano", "MI"), ("00184", "Roma", "RM")),
    *(("80134", "Napoli", "NA"), ("10121", "Torino", "TO"), ("35121", "Padova", "PD"), ("70121", "Bari", "BA")),
)
RO_FIRST = ("Construcții", "Transport", "Agro", "Panificație", "Mobilă", "Servicii")
RO_SECOND = ("Țara Bârsei", "Dunărea", "Carpați", "Mureș", "Sfântul Gheorghe", "Bucovina")
RO_TOWNS = (("300011", "Timișoara", "RO-TM"), ("400001", "Cluj-Napoca", "RO-CJ"), ("700028", "Iași", "RO-IS"))

MONTHS = "ABCDEHLMPRST"
ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
BIRTHPLACES = ("D612", "A944", "F205", "H501", "F839", "L219", "G224", "A662")


@dataclass(frozen=True, slots=True)
class Party:
    """One side of an invoice. `piva` and `cf` may be empty; a person has given name and surname."""

    country: str
    piva: str
    cf: str
    name: str
    given: str
    surname: str
    street: str
    postcode: str
    town: str
    province: str


def piva(rng: random.Random) -> str:
    """An Italian VAT number with its check digit."""
    digits = [int(d) for d in f"{rng.randrange(1, 9_999_999):07d}{rng.randrange(1, 121):03d}"]
    doubled = [d if i % 2 == 0 else (d * 2 - 9 if d > 4 else d * 2) for i, d in enumerate(digits)]
    return "".join(map(str, digits)) + str(-sum(doubled) % 10)


def codice_fiscale(rng: random.Random, given: str, surname: str) -> str:
    """A person's tax code with its check letter; its name part is random."""
    letters = "".join((part.upper() + "XXX")[:3] for part in (surname.replace("'", ""), given)).translate(
        str.maketrans("ÀÈÉÌÒÙ", "AEEIOU")
    )
    born = f"{rng.randrange(40, 100):02d}{rng.choice(MONTHS)}{rng.randrange(1, 29) + 40 * rng.randrange(2):02d}"
    code = letters + born + rng.choice(BIRTHPLACES)
    return code + check_letter(code)


def check_letter(code: str) -> str:
    """The sixteenth character of a tax code, from the fifteen before it."""
    value = 0
    for place, char in enumerate(code):
        ordinal = int(char) if char.isdigit() else ord(char) - 65
        value += ODD[ordinal] if place % 2 == 0 else ordinal
    return chr(65 + value % 26)


def cui(rng: random.Random) -> str:
    """A Romanian tax number with its check digit."""
    body = f"{rng.randrange(1_000_000, 4_999_999):07d}"
    weighted = sum(int(d) * w for d, w in zip(body, (5, 3, 2, 1, 7, 5, 3), strict=True))
    return f"{body}{weighted * 10 % 11 % 10}"


def iban(rng: random.Random) -> str:
    """An Italian IBAN with valid check digits."""
    account = f"X{rng.randrange(10**5):05d}{rng.randrange(10**5):05d}{rng.randrange(10**12):012d}"
    number = "".join(str(int(char, 36)) for char in account + "IT00")
    return f"IT{98 - int(number) % 97:02d}{account}"


def company(rng: random.Random) -> Party:
    number = piva(rng)
    postcode, town, province = rng.choice(TOWNS)
    name = f"{rng.choice(FIRST)} {rng.choice(SECOND)} {rng.choice(FORMS)}"
    cf = number if rng.random() < 0.4 else ""
    return Party("IT", number, cf, name, "", "", rng.choice(STREETS), postcode, town, province)


def person(rng: random.Random) -> Party:
    given, surname = rng.choice(NAMES), rng.choice(SURNAMES)
    postcode, town, province = rng.choice(TOWNS)
    cf = codice_fiscale(rng, given, surname)
    return Party("IT", piva(rng), cf, "", given, surname, rng.choice(STREETS), postcode, town, province)


def romanian(rng: random.Random) -> Party:
    postcode, town, county = rng.choice(RO_TOWNS)
    name = f"{rng.choice(RO_FIRST)} {rng.choice(RO_SECOND)} S.R.L."
    return Party("RO", cui(rng), "", name, "", "", "Strada Mihai Eminescu", postcode, town, county)


def senders(rng: random.Random, count: int) -> tuple[Party, ...]:
    """Italian suppliers, one in eight of them a person."""
    return tuple(person(rng) if rng.random() < 0.125 else company(rng) for _ in range(count))
