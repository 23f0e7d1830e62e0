"""Bounds on the parts of a certificate, checked on its DER before anything is decoded.

Decoding costs by the part, not by the byte: a name of 3,800 parts in 45 KB took a tenth of a second
in pure Python. The frame is walked here as far as the counts, which takes some 30 microseconds.
"""

from __future__ import annotations

from signatures.der import INTEGER, OCTET_STRING, SEQUENCE, Reader

# RelativeDistinguishedNames of a name, and attributes of all of them together; extensions; elements
# of one extension (alternative names, purposes, policies, addresses). Certificates in use have ten.
PARTS_LIMIT = 64

_VERSION_TAG, _EXTENSIONS_TAG, _SET = 0xA0, 0xA3, 0x31


class OutOfBounds(ValueError):
    """A certificate with more parts than any in use; its text says of what."""


def check_bounds(der: bytes) -> None:
    """Raise OutOfBounds if the certificate has more parts of a kind than PARTS_LIMIT, and
    MalformedDer if it has not the frame of a certificate (RFC 5280, section 4.1)."""
    tbs = Reader(der).sequence().sequence()
    if tbs.next_tag() == _VERSION_TAG:
        tbs.any()
    tbs.value(INTEGER)
    tbs.value(SEQUENCE)
    _check_name(tbs.sequence(), "issuer")
    tbs.value(SEQUENCE)
    _check_name(tbs.sequence(), "subject")
    tbs.value(SEQUENCE)
    while not tbs.at_end():
        tag, content, _ = tbs.any()
        if tag == _EXTENSIONS_TAG:
            _check_extensions(Reader(content).sequence())


def _check_name(name: Reader, whose: str) -> None:
    relatives = attributes = 0
    while not name.at_end():
        relatives += 1
        relative = Reader(name.value(_SET))
        while not relative.at_end():
            relative.any()
            attributes += 1
            _check_count(attributes, f"attributes in the {whose}'s name")
        _check_count(relatives, f"parts of the {whose}'s name")


def _check_extensions(extensions: Reader) -> None:
    count = 0
    while not extensions.at_end():
        count += 1
        _check_count(count, "extensions")
        extension = extensions.sequence()
        tag, content, _ = extension.any()
        while not extension.at_end():
            tag, content, _ = extension.any()
        _check_elements(tag, content)


def _check_elements(tag: int, content: bytes) -> None:
    """Count the elements of an extension's value if it is a list, as most are."""
    if tag != OCTET_STRING or content[:1] != bytes([SEQUENCE]):
        return
    elements, count = Reader(content).sequence(), 0
    while not elements.at_end():
        elements.any()
        count += 1
        _check_count(count, "elements of an extension")


def _check_count(count: int, what: str) -> None:
    if count > PARTS_LIMIT:
        raise OutOfBounds(f"more than {PARTS_LIMIT} {what}")
