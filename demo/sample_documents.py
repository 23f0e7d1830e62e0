"""The documents that the demo registers: address certificates as PDF, income statements as XML."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from xml.etree import ElementTree

from testing.people import Organization, Person

PDF = "application/pdf"
XML = "application/xml"
# The letters that any page of ours is made of: Latin, Russian, Kazakh, and some signs.
_LETTERS = (
    "".join(map(chr, range(0x20, 0x7F)))
    + "".join(map(chr, range(0x410, 0x450)))
    + "ЁёӘәҒғҚқҢңӨөҰұҮүҺһІі№—–«»"
)
# What the letters look like is all that is wanted; the rest of the font takes seconds to subset.
_NOT_NEEDED = ("fvar", "gvar", "avar", "HVAR", "MVAR", "STAT", "GPOS", "GSUB", "GDEF")


def write_font(folder: Path) -> Path:
    """A file in the folder with Noto Sans, the letters above and no more: some 17 kB."""
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
    """An address certificate as a PDF of one page, in Kazakh and Russian."""
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
    """An income statement of twelve months as XML."""
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
