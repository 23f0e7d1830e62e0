"""Make the demo's documents: address certificates as PDF, income statements as XML."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from xml.etree import ElementTree

from testing.people import Organization, Person

PDF = "application/pdf"
XML = "application/xml"
# The characters of our documents: Latin, Russian and Kazakh letters, and some signs.
_LETTERS = (
    "".join(map(chr, range(0x20, 0x7F)))
    + "".join(map(chr, range(0x410, 0x450)))
    + "ЁёӘәҒғҚқҢңӨөҰұҮүҺһІі№—–«»"
)
# Tables of the font beside its glyphs, which take seconds to subset and are not needed.
_NOT_NEEDED = ("fvar", "gvar", "avar", "HVAR", "MVAR", "STAT", "GPOS", "GSUB", "GDEF")


def write_font(folder: Path) -> Path:
    """Write Noto Sans to the folder, with the characters above only (17 kB); return the file."""
    import fontpkg
    from fontTools import subset
    from fontTools.ttLib import TTFont

    font = TTFont(fontpkg.path("Noto Sans"), lazy=True)
    for table in _NOT_NEEDED:
        if table in font:
            del font[table]
    options = subset.Options(layout_features=[], hinting=False)
    subsetter = subset.Subsetter(options)
    subsetter.populate(text=_LETTERS)
    subsetter.subset(font)
    file = folder / "noto-sans.ttf"
    font.save(file)
    return file


def address_certificate(
    person: Person, issuer: Organization, issued: date, number: int, font: Path
) -> bytes:
    """Make an address certificate: a PDF of one page, in Kazakh and Russian."""
    from fpdf import FPDF

    page = FPDF()
    page.add_page()
    page.add_font("Noto", fname=font)
    page.set_title(f"Мекенжай анықтамасы № {number}")
    page.set_font("Noto", size=18)
    page.multi_cell(0, 12, "Мекенжай анықтамасы\nАдресная справка", align="C")
    page.set_font("Noto", size=11)
    for label, value in (
        ("№", str(number)),
        ("Берілген күні / Дата выдачи", issued.isoformat()),
        ("Берген / Выдано", f"{issuer.display_name}, БСН/БИН {issuer.bin}"),
        ("Аты-жөні / ФИО", person.full_name),
        ("Туған күні / Дата рождения", person.birth_date.isoformat()),
        ("ЖСН/ИИН", person.iin),
        ("Тұрғылықты мекенжайы / Адрес", person.address),
    ):
        page.ln(4)
        page.multi_cell(0, 7, f"{label}: {value}")
    return bytes(page.output())


def income_statement(person: Person, issuer: Organization, issued: date, number: int) -> bytes:
    """Make an income statement of twelve months as XML."""
    root = ElementTree.Element(
        "incomeStatement", {"number": str(number), "issued": issued.isoformat(), "lang": "kk"}
    )
    ElementTree.SubElement(root, "issuer", {"bin": issuer.bin}).text = issuer.display_name
    holder = ElementTree.SubElement(root, "person", {"iin": person.iin})
    ElementTree.SubElement(holder, "familyName").text = person.family_name
    ElementTree.SubElement(holder, "givenName").text = person.given_name
    if person.patronymic:
        ElementTree.SubElement(holder, "patronymic").text = person.patronymic
    income = ElementTree.SubElement(root, "income", {"currency": "KZT"})
    for month in range(1, 13):
        amount = 250_000 + number * 1_370 % 400_000 + month * 1_000
        ElementTree.SubElement(
            income, "month", {"value": f"{issued.year - 1}-{month:02d}"}
        ).text = str(amount)
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document
