"""The wire format by example: tests/vectors/phones.json, which docs/phones.md shows.

`python -m tests.unit.sms.test_vectors` makes both from fixed keys. Every octet is also found here
by offsets, as the writer of an applet finds it from the document alone.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from phones.outcomes import Outcome
from sms.applet import Answer, Question, Request, Status, write_answer, write_request
from sms.parts import COMMAND_PACKET, RESPONSE_PACKET, split_packet
from sms.secured_packets import ResponseStatus, write_command, write_response

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "phones.md"
VECTORS = ROOT / "tests" / "vectors" / "phones.json"
MAC_KEY = bytes(range(16))
PRIVATE_VALUE = int.from_bytes(hashlib.sha256(b"a SIM's key, for vectors").digest(), "big")
SIM_KEY = ec.derive_private_key(PRIVATE_VALUE, ec.SECP256R1())
MESSAGE = b"contract 17"
DIGEST = hashlib.sha256(MESSAGE).digest()
NONCE = bytes.fromhex("a0a1a2a3a4a5a6a7")
REFERENCE = 0x2A
REQUESTS = [
    ("GSM 7-bit, one message", "Bank: contract 17", Question.SIGN),
    ("UCS-2, two messages", "Банк: № 17 келісімшартқа қол қою", Question.SIGN),
    ("a sign-in", "eGov: кіру", Question.ENTER),
    ("the longest text of GSM 7-bit", "x" * 100, Question.SIGN),
    ("the longest text of UCS-2", "қ" * 50, Question.SIGN),
]


def signature() -> bytes:
    """RFC 6979, so that the vector can be made again."""
    algorithm = ec.ECDSA(utils.Prehashed(hashes.SHA256()), deterministic_signing=True)
    numbers = utils.decode_dss_signature(SIM_KEY.sign(DIGEST, algorithm))
    return b"".join(each.to_bytes(32, "big") for each in numbers)


def request_vector(counter: int, name: str, text: str, question: Question) -> dict[str, Any]:
    request = Request(DIGEST, text, NONCE, question)
    data = write_request(request)
    packet = write_command(counter, data, MAC_KEY)
    parts = split_packet(packet, COMMAND_PACKET, REFERENCE)
    return {
        "name": name,
        "counter": counter,
        "text": text,
        "question": int(question),
        "code": request.code,
        "data": data.hex(),
        "packet": packet.hex(),
        "messages": [part.user_data.hex() for part in parts],
    }


def answer_vector(counter: int, status: Status) -> dict[str, Any]:
    signed = signature() if status is Status.SIGNED else b""
    data = write_answer(Answer(status, NONCE, signed))
    packet = write_response(counter, data, MAC_KEY)
    return {
        "name": status.name,
        "counter": counter,
        "data": data.hex(),
        "packet": packet.hex(),
        "messages": [
            part.user_data.hex() for part in split_packet(packet, RESPONSE_PACKET, REFERENCE)
        ],
    }


def refusal_vector(counter: int, status: ResponseStatus) -> dict[str, Any]:
    packet = write_response(counter, b"", MAC_KEY, status)
    (message,) = split_packet(packet, RESPONSE_PACKET, REFERENCE)
    return {
        "name": status.name,
        "counter": counter,
        "packet": packet.hex(),
        "messages": [message.user_data.hex()],
    }


def vectors() -> dict[str, Any]:
    public_key = SIM_KEY.public_key()
    return {
        "mac_key": MAC_KEY.hex(),
        "private_key": f"{PRIVATE_VALUE:064x}",
        "public_key": public_key.public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        ).hex(),
        "message": MESSAGE.decode(),
        "digest": DIGEST.hex(),
        "nonce": NONCE.hex(),
        "reference": REFERENCE,
        "requests": [request_vector(n, *each) for n, each in enumerate(REQUESTS, start=1)],
        "answers": [answer_vector(1, each) for each in (Status.SIGNED, Status.CANCELLED)],
        "refusals": [
            refusal_vector(0, ResponseStatus.CHECKSUM_FAILED),
            refusal_vector(1, ResponseStatus.COUNTER_LOW),
        ],
    }


FOUND = json.loads(VECTORS.read_text()) if VECTORS.exists() else vectors()


def cmac(data: str) -> str:
    mac = CMAC(algorithms.AES(MAC_KEY))
    mac.update(bytes.fromhex(data))
    return mac.finalize()[:8].hex()


def name_of(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def test_the_vectors_are_what_is_written() -> None:
    assert vectors() == FOUND


@pytest.mark.parametrize("vector", FOUND["requests"], ids=name_of)
def test_a_request_is_found_by_offsets(vector: dict[str, Any]) -> None:
    packet, data = vector["packet"], vector["data"]
    assert packet[:6] == f"{len(packet) // 2 - 2:04x}15"
    assert packet[6:20] == "122a0012514147"
    assert packet[20:32] == f"{vector['counter']:010x}00"
    assert packet[32:48] == cmac(packet[:32] + packet[48:])
    assert packet[48:] == data
    hashed = hashlib.sha256(DIGEST + NONCE).digest()
    assert vector["code"] == f"{int(hashed.hex()[:8], 16) % 10_000:04d}"
    assert data.startswith(f"8020{DIGEST.hex()}8104{vector['code'].encode().hex()}82")
    size = int(data[82:84], 16) * 2
    coding, text = data[84:86], data[86 : 84 + size]
    encoded = vector["text"].encode("ascii" if coding == "04" else "utf-16-be")
    assert text == encoded.hex()
    assert data[84 + size :] == f"8308{NONCE.hex()}8401{vector['question']:02x}"


@pytest.mark.parametrize("vector", FOUND["requests"], ids=name_of)
def test_a_requests_messages_carry_its_packet(vector: dict[str, Any]) -> None:
    first, *rest = vector["messages"]
    assert len(first) <= 280
    if not rest:
        assert first == "027000" + vector["packet"]
        return
    (second,) = rest
    assert first.startswith("0700032a02017000")
    assert len(first) == 280
    assert second.startswith("0500032a0202")
    assert first[16:] + second[12:] == vector["packet"]


@pytest.mark.parametrize("vector", FOUND["answers"] + FOUND["refusals"], ids=name_of)
def test_a_response_is_found_by_offsets(vector: dict[str, Any]) -> None:
    packet = vector["packet"]
    assert packet[:6] == f"{len(packet) // 2 - 2:04x}12"
    assert packet[6:24] == f"514147{vector['counter']:010x}00"
    assert packet[26:42] == cmac("027100" + packet[:26] + packet[42:])
    assert packet[42:] == vector.get("data", "")
    assert vector["messages"] == ["027100" + packet]


def test_the_signed_answers_signature_verifies() -> None:
    data = bytes.fromhex(FOUND["answers"][0]["data"])
    assert data[:5] == bytes.fromhex("9001009140")
    r, s = (int.from_bytes(data[start : start + 32], "big") for start in (5, 37))
    SIM_KEY.public_key().verify(
        utils.encode_dss_signature(r, s), MESSAGE, ec.ECDSA(hashes.SHA256())
    )
    assert data[69:] == bytes.fromhex("8308") + NONCE


def block(name: str) -> str:
    """What stands between the document's markers of this name."""
    _, _, rest = DOCUMENT.read_text().partition(f"<!-- {name} -->\n")
    return rest.partition("<!-- end -->")[0]


def shown_vectors() -> str:
    """The vectors as the document has them: a name, then lines of 40 octets."""
    lines = []
    for kind in ("requests", "answers", "refusals"):
        for vector in FOUND[kind]:
            text = f' "{vector["text"]}"' if "text" in vector else ""
            lines.append(f"{kind[:-1]}, counter {vector['counter']}, {vector['name']}{text}")
            for number, message in enumerate(vector["messages"]):
                lines += ["    ---"] * (number > 0)
                lines += ["    " + message[n : n + 80] for n in range(0, len(message), 80)]
    return "```\n" + "\n".join(lines) + "\n```\n"


def test_the_document_shows_the_vectors() -> None:
    assert block("vectors") == shown_vectors()


def table(name: str) -> dict[str, str]:
    """The first two columns of a table."""
    rows = [line.split("|") for line in block(name).splitlines()[2:]]
    return {first.strip(" `"): second.strip() for _, first, second, *_ in rows}


def test_the_document_lists_every_status() -> None:
    assert table("statuses") == {f"{each:02X}": each.name for each in Status}


def test_the_document_lists_every_outcome() -> None:
    assert table("outcomes") == {str(each.value): each.name for each in Outcome if each}


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(vectors(), indent=2, ensure_ascii=False) + "\n")
    FOUND = vectors()
    DOCUMENT.write_text(
        DOCUMENT.read_text().replace(
            f"<!-- vectors -->\n{block('vectors')}", f"<!-- vectors -->\n{shown_vectors()}"
        )
    )
