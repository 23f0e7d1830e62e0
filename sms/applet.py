"""What the platform asks the SIM's applet, and what it answers: the data of secured packets.

Both are sequences of TLVs: tag, length in one octet, value; exactly the tags below in exactly this
order, so that an applet reads them in one pass and no two readers understand one message
differently.

    request  80 digest (32) · 81 verification code (4) · 82 data coding, text · 83 nonce (8)
             · 84 question (1)
    answer   90 status (1) · 91 r ‖ s (64), only if signed · 83 nonce (8)
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from dataclasses import dataclass
from enum import IntEnum

from sms.alphabets import Alphabet, NotInAlphabet, alphabet_for, decode, encode

DIGEST_OCTETS = 32
NONCE_OCTETS = 8
# r and s side by side, each of 32 octets (P-256).
SIGNATURE_OCTETS = 64
CODE_DIGITS = 4
# 100 septets or 50 characters of UCS-2, so that a request fits two messages with room to spare and
# the smallest screen (16 characters) shows it in seven pages. A character behind the escape (€, [)
# counts as two septets.
TEXT_LIMIT_OCTETS = 100

_DIGEST, _CODE, _TEXT, _NONCE, _QUESTION = 0x80, 0x81, 0x82, 0x83, 0x84
_STATUS, _SIGNATURE = 0x90, 0x91
# SIM toolkit's text string has the same codings (ETSI TS 102 223, section 8.15): unpacked septets
# and UCS-2.
_TEXT_CODINGS = {Alphabet.GSM_7BIT: 0x04, Alphabet.UCS2: 0x08}
_ALPHABETS = {coding: alphabet for alphabet, coding in _TEXT_CODINGS.items()}
# Characters that no screen shows, or that change how others are shown (Unicode, chapter 4).
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


class MalformedData(ValueError):
    """Data of a packet that is not of the applet's form."""


class TextRefused(ValueError):
    """A text that cannot be shown whole, on one line: too long, or with control characters."""


class Question(IntEnum):
    """What the phone asks after the PIN."""

    # "Sign?"
    SIGN = 0
    # "Enter?", for a sign-in.
    ENTER = 1


class Status(IntEnum):
    """How a request ended on the SIM. Numbers are ETSI TS 102 204's without the hundreds: 401 is 1,
    4013 is 13; those from 0x70 are ours."""

    SIGNED = 0x00
    # 401.
    CANCELLED = 0x01
    # 402: three wrong PINs.
    PIN_BLOCKED = 0x02
    # 403: ten wrong PUKs.
    CARD_BLOCKED = 0x03
    # 404.
    NO_KEY = 0x04
    # 406: another request is on the screen.
    BUSY = 0x06
    # 4013: the person will sign later, asked anew.
    POSTPONED = 0x0D
    # The handset lacks the alphabet of the text: it is not signed unread.
    NOT_SHOWN = 0x70
    # The request is not of the form, or its verification code is another.
    MALFORMED = 0x71
    # The card could not sign.
    FAILED = 0x72


@dataclass(frozen=True, slots=True)
class Request:
    """What a person is asked to sign. The digest is SHA-256 of the message."""

    digest: bytes
    # On one line, with who asks before it.
    text: str
    nonce: bytes
    question: Question = Question.SIGN

    @property
    def code(self) -> str:
        return verification_code(self.digest, self.nonce)


@dataclass(frozen=True, slots=True)
class Answer:
    """How it ended; signature is r ‖ s if it was signed, else empty."""

    status: Status
    nonce: bytes
    signature: bytes = b""


def verification_code(digest: bytes, nonce: bytes) -> str:
    """Return the four digits that both screens show: the first four octets of SHA-256(digest ‖
    nonce) modulo 10,000.

    The nonce is the platform's, so that a requester who chooses the digest does not choose the
    digits.
    """
    number = int.from_bytes(hashlib.sha256(digest + nonce).digest()[:4], "big")
    return f"{number % 10**CODE_DIGITS:0{CODE_DIGITS}d}"


def check_text(text: str) -> tuple[Alphabet, bytes]:
    """Return a display text's alphabet and octets. Raises TextRefused; nothing is cut or replaced.

    Refused are an empty text, line breaks, control and formatting characters (bidirectional ones
    among them), characters beyond UCS-2, and more than TEXT_LIMIT_OCTETS.
    """
    _check_shown(text)
    try:
        alphabet = alphabet_for(text)
    except NotInAlphabet as error:
        raise TextRefused(str(error)) from None
    octets = encode(text, alphabet)
    if len(octets) > TEXT_LIMIT_OCTETS:
        raise TextRefused("more than 100 characters of GSM 7-bit, or 50 others")
    return alphabet, octets


def _check_shown(text: str) -> None:
    if not text.strip():
        raise TextRefused("an empty text")
    if any(unicodedata.category(char) in _INVISIBLE for char in text):
        raise TextRefused("a character that is not shown")


def write_request(request: Request) -> bytes:
    """Return the request's TLVs. Raises TextRefused, and ValueError for a digest or nonce of the
    wrong size."""
    if len(request.digest) != DIGEST_OCTETS or len(request.nonce) != NONCE_OCTETS:
        raise ValueError("a digest of 32 octets and a nonce of 8 are needed")
    alphabet, octets = check_text(request.text)
    return (
        _tlv(_DIGEST, request.digest)
        + _tlv(_CODE, request.code.encode())
        + _tlv(_TEXT, bytes([_TEXT_CODINGS[alphabet]]) + octets)
        + _tlv(_NONCE, request.nonce)
        + _tlv(_QUESTION, bytes([request.question]))
    )


def read_request(data: bytes) -> Request:
    """Return a request whose code is that of its digest and nonce. Raises MalformedData."""
    tlvs = _tlvs(data)
    if [tag for tag, _ in tlvs] != [_DIGEST, _CODE, _TEXT, _NONCE, _QUESTION]:
        raise MalformedData("other tags than those of a request")
    digest, code, text, nonce, question = (value for _, value in tlvs)
    if len(digest) != DIGEST_OCTETS or len(nonce) != NONCE_OCTETS or len(question) != 1:
        raise MalformedData("a value of the wrong length")
    if not 1 < len(text) <= 1 + TEXT_LIMIT_OCTETS:
        raise MalformedData("a text of the wrong length")
    try:
        shown = decode(text[1:], _ALPHABETS[text[0]])
        _check_shown(shown)
        request = Request(digest, shown, nonce, Question(question[0]))
    except (KeyError, ValueError):
        raise MalformedData("a text or question that is not one") from None
    if not hmac.compare_digest(code, request.code.encode()):
        raise MalformedData("a verification code that is another")
    return request


def write_answer(answer: Answer) -> bytes:
    """Return the answer's TLVs. Raises ValueError for a nonce or signature of the wrong size."""
    _check_answer(answer)
    signature = _tlv(_SIGNATURE, answer.signature) if answer.signature else b""
    return _tlv(_STATUS, bytes([answer.status])) + signature + _tlv(_NONCE, answer.nonce)


def read_answer(data: bytes) -> Answer:
    """Return an answer. Whether the nonce is the request's and the signature holds, the caller
    decides. Raises MalformedData."""
    tlvs = _tlvs(data)
    tags = [tag for tag, _ in tlvs]
    if tags not in ([_STATUS, _NONCE], [_STATUS, _SIGNATURE, _NONCE]):
        raise MalformedData("other tags than those of an answer")
    values = dict(tlvs)
    if len(values[_STATUS]) != 1:
        raise MalformedData("a status of the wrong length")
    try:
        status = Status(values[_STATUS][0])
        answer = Answer(status, values[_NONCE], values.get(_SIGNATURE, b""))
        _check_answer(answer)
    except ValueError:
        raise MalformedData("an answer of an unknown status or the wrong lengths") from None
    return answer


def _check_answer(answer: Answer) -> None:
    expected = SIGNATURE_OCTETS if answer.status is Status.SIGNED else 0
    if len(answer.nonce) != NONCE_OCTETS or len(answer.signature) != expected:
        raise ValueError("a nonce of 8 octets is needed, and a signature of 64 if it was signed")


def _tlv(tag: int, value: bytes) -> bytes:
    return bytes([tag, len(value)]) + value


def _tlvs(data: bytes) -> list[tuple[int, bytes]]:
    tlvs = []
    while data:
        if len(data) < 2 or len(data) < 2 + data[1]:
            raise MalformedData("a value that is longer than its message")
        tlvs.append((data[0], data[2 : 2 + data[1]]))
        data = data[2 + data[1] :]
    return tlvs
