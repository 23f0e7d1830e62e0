"""What tests are made of: people and organizations that nobody else in the session has."""

from __future__ import annotations

import itertools
from datetime import date

from cli.made_up_numbers import made_up_bin
from testing.people import Organization, Person, people

_people = people()
_serials = itertools.count(1)
# The demo's organizations were registered in other months.
_REGISTERED = date(2015, 9, 1)


def new_person() -> Person:
    """A made-up person with a number of their own."""
    return next(_people)


def new_organization() -> Organization:
    """A made-up organization with a number of its own."""
    serial = next(_serials)
    return Organization(made_up_bin(_REGISTERED, serial), f"«Ұйым № {serial}» ЖШС")
