"""docs/certificates.md says what the cases expect; run this file as a module to write it anew."""

from __future__ import annotations

from pathlib import Path

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


def page() -> str:
    return HEAD + "".join(f"| {case.title} | {case.status} |\n" for case in CASES)


def test_the_table_in_the_docs_is_what_the_cases_expect() -> None:
    assert PAGE.read_text() == page()


if __name__ == "__main__":
    PAGE.write_text(page())
