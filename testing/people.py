"""Make up people and organizations, with names as they occur in Kazakhstan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count

from cli.made_up_numbers import made_up_bin, made_up_iin

# Given names of women and men, family names' stems with their endings, patronymics.
_KAZAKH = (
    ("Әлия", "Гүлнұр", "Айгерім", "Ұлжан", "Іңкәр", "Мөлдір"),
    ("Ержан", "Қайрат", "Нұрсұлтан", "Өмірзақ", "Ғалымжан", "Дәурен"),
    (("Нұрғали", "ева", "ев"), ("Қасым", "ова", "ов"), ("Әбдірахман", "ова", "ов"),
     ("Жұмабай", "", ""), ("Оңғарбай", "", ""), ("Сүлеймен", "ова", "ов"), ("Шәріп", "ова", "ов")),
    (("Қайратқызы", "Қайратұлы"), ("Серікқызы", "Серікұлы"), ("Мұратқызы", "Мұратұлы"), ("", "")),
)  # fmt: skip
_RUSSIAN = (
    ("Наталья", "Екатерина", "Мария", "Ольга"),
    ("Сергей", "Пётр", "Алексей", "Игорь"),
    (("Иванов", "а", ""), ("Ковалёв", "а", ""), ("Соколовск", "ая", "ий"), ("Шевченко", "", "")),
    (("Петровна", "Петрович"), ("Андреевна", "Андреевич"), ("Юрьевна", "Юрьевич")),
)
_STREETS = (
    "Абай даңғылы",
    "Төле би көшесі",
    "Қабанбай батыр көшесі",
    "улица Сатпаева",
    "Мәңгілік Ел даңғылы",
    "улица Гоголя",
)
_TOWNS = ("Астана", "Алматы", "Шымкент", "Өскемен", "Қарағанды")
FIRST_BIRTH_DATE = date(1958, 3, 8)


@dataclass(frozen=True, slots=True)
class Person:
    """A made-up person."""

    iin: str
    given_name: str
    family_name: str
    patronymic: str
    birth_date: date
    address: str

    @property
    def full_name(self) -> str:
        parts = (self.family_name, self.given_name, self.patronymic)
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Organization:
    """A made-up organization."""

    bin: str
    display_name: str


MINISTRY = Organization(made_up_bin(date(2005, 3, 1), 1), "Цифрлық құжаттар министрлігі")
FIRST_BANK = Organization(made_up_bin(date(1997, 11, 1), 2), "«Дала Банкі» АҚ")
SECOND_BANK = Organization(made_up_bin(date(2011, 6, 1), 3), "АО «Степной банк»")


def people() -> Iterator[Person]:
    """Yield people without end, the same in every run, each with a number of their own."""
    for number in count():
        female = number % 2 == 0
        women, men, families, patronymics = _RUSSIAN if number % 5 == 4 else _KAZAKH
        given_names = women if female else men
        stem, for_women, for_men = families[number % len(families)]
        of_women, of_men = patronymics[number // 2 % len(patronymics)]
        birth_date = FIRST_BIRTH_DATE + timedelta(days=137 * number % 16_000)
        home = f"{_STREETS[number % len(_STREETS)]}, {number % 90 + 1}-{number % 40 + 1}"
        yield Person(
            iin=made_up_iin(birth_date, number, female=female),
            given_name=given_names[number // 2 % len(given_names)],
            family_name=stem + (for_women if female else for_men),
            patronymic=of_women if female else of_men,
            birth_date=birth_date,
            address=f"{_TOWNS[number % len(_TOWNS)]}, {home}",
        )
