"""docs/certificates.md says what the cases expect; run this file as a module to write it anew."""

from __future__ import annotations

from pathlib import Path

from tests.unit.identity import pkits
from tests.unit.identity.certificate_cases import CASES

PAGE = Path(__file__).parents[3] / "docs" / "certificates.md"
HEAD = """# Certificates of external authorities: what is accepted and what is refused

Made from `tests/unit/identity/certificate_cases.py`, which runs every line of it; write it anew by
`python -m tests.unit.identity.test_certificate_table`. Revocation comes on top: a certificate
that no current OCSP answer or CRL covers is UNKNOWN, never GOOD
(`tests/unit/identity/validation/test_revocation.py`).

| chain | status for documents |
|---|---|
"""


PKITS_HEAD = """
## NIST's PKITS

`tests/unit/identity/validation/test_pkits.py` runs each of its cases of paths and revocation. Of
the {failing} that must fail none is accepted; of the {passing} that must pass {accepted} are.
Not supported:

| case | certificate | because of |
|---|---|---|
"""


def page() -> str:
    passing = [case for case in pkits.CASES if case.accepted]
    head = PKITS_HEAD.format(
        failing=len(pkits.CASES) - len(passing),
        passing=len(passing),
        accepted=len(passing) - len(pkits.REFUSED),
    )
    rows = [
        f"| {case.section} | {case.name} | {pkits.REFUSED[case.section]} |\n"
        for case in passing
        if case.section in pkits.REFUSED
    ]
    table = "".join(f"| {case.title} | {case.status} |\n" for case in CASES)
    return HEAD + table + head + "".join(rows)


def test_the_table_in_the_docs_is_what_the_cases_expect() -> None:
    assert PAGE.read_text() == page()


if __name__ == "__main__":
    PAGE.write_text(page())
