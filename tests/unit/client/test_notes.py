"""Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint, tlog-cosignature)."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from qagazsyz import notes
from qagazsyz.notes import (
    Checkpoint,
    Note,
    NoteError,
    SignatureType,
    VerifierKey,
    open_checkpoint,
    verifier_key,
)

# The example of golang.org/x/mod/sumdb/note, made by another implementation.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotp"
    "RZb6KE6RyyBwJnAM=\n"
).encode()

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(32))
KEY = verifier_key("log.example/one", PRIVATE)
WITNESS_PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32)
WITNESS = verifier_key("witness.example", WITNESS_PRIVATE, SignatureType.COSIGNATURE)
ROOT = bytes(range(32))


def signed(text: str, *more: notes.Signature) -> bytes:
    return bytes(Note(text, (notes.sign(text, KEY, PRIVATE), *more)))


def test_a_note_signed_by_another_implementation_verifies() -> None:
    key = VerifierKey.parse(GO_KEY)
    note = Note.parse(GO_NOTE)
    assert note.verify([key]) == {key: None}
    assert str(key) == GO_KEY
    assert bytes(note) == GO_NOTE


def test_a_note_with_one_letter_changed_does_not_verify() -> None:
    note = Note.parse(GO_NOTE.replace(b"think", b"thimk"))
    with pytest.raises(NoteError):
        note.verify([VerifierKey.parse(GO_KEY)])


def test_a_checkpoint_survives_the_way_there_and_back() -> None:
    checkpoint = Checkpoint(KEY.name, 20852163, ROOT)
    assert checkpoint.text == f"log.example/one\n20852163\n{base64.b64encode(ROOT).decode()}\n"
    assert open_checkpoint(signed(checkpoint.text), KEY) == checkpoint


def test_a_checkpoint_may_have_extension_lines() -> None:
    text = Checkpoint(KEY.name, 7, ROOT).text + "more\n"
    assert open_checkpoint(signed(text), KEY) == Checkpoint(KEY.name, 7, ROOT)


def test_a_checkpoint_of_another_log_is_refused() -> None:
    with pytest.raises(NoteError, match="another log"):
        open_checkpoint(signed(Checkpoint("log.example/two", 7, ROOT).text), KEY)


def test_a_checkpoint_without_the_logs_signature_is_refused() -> None:
    text = Checkpoint(KEY.name, 7, ROOT).text
    cosigned = bytes(Note(text, (notes.cosign(text, WITNESS, WITNESS_PRIVATE, 1),)))
    with pytest.raises(NoteError, match="not signed"):
        open_checkpoint(cosigned, KEY)


def test_a_cosignature_verifies_and_tells_its_time() -> None:
    text = Checkpoint(KEY.name, 7, ROOT).text
    note = Note.parse(signed(text, notes.cosign(text, WITNESS, WITNESS_PRIVATE, 1679315147)))
    assert note.verify([KEY, WITNESS]) == {KEY: None, WITNESS: 1679315147}


def test_a_cosignature_of_another_time_does_not_verify() -> None:
    text = Checkpoint(KEY.name, 7, ROOT).text
    cosignature = notes.cosign(text, WITNESS, WITNESS_PRIVATE, 1679315147)
    later = notes.Signature(
        WITNESS.name, WITNESS.id, (1679315148).to_bytes(8, "big") + cosignature.signature[8:]
    )
    with pytest.raises(NoteError):
        Note.parse(signed(text, later)).verify([WITNESS])


def test_signatures_by_unknown_keys_are_passed_over() -> None:
    text = Checkpoint(KEY.name, 7, ROOT).text
    unknown = notes.Signature("someone.example", b"\0\0\0\1", b"whatever")
    same_name = notes.Signature(KEY.name, b"\0\0\0\1", b"whatever")
    assert open_checkpoint(signed(text, unknown, same_name), KEY).tree_size == 7


def test_a_known_keys_wrong_signature_spoils_the_note_beside_a_right_one() -> None:
    text = Checkpoint(KEY.name, 7, ROOT).text
    wrong = notes.Signature(KEY.name, KEY.id, bytes(64))
    with pytest.raises(NoteError):
        open_checkpoint(signed(text, wrong), KEY)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\n\n",
        b"text\n",
        b"text\n\n",
        b"text\n\nno dash\n",
        "text\n\n— name\n".encode(),
        "text\n\n— name !!!!\n".encode(),
        "text\n\n— name AAAA\n".encode(),
        "text\n\n— na+me AAAAAAA=\n".encode(),
        "text\n\n—  AAAAAAA=\n".encode(),
        "text\n\n— name AAAAAAA=".encode(),
        "te\txt\n\n— name AAAAAAA=\n".encode(),
        b"text\xff\n\n\xe2\x80\x94 name AAAAAAA=\n",
        ("text\n\n" + "— name AAAAAAA=\n" * 65).encode(),
        b"x" * 100_001,
    ],
)
def test_another_text_than_a_note_is_refused(data: bytes) -> None:
    with pytest.raises(NoteError):
        Note.parse(data)


@pytest.mark.parametrize(
    "text",
    [
        "origin\n1\n",
        "origin\n\n1\n",
        "origin\n-1\nAAAA\n",
        "origin\n01\n" + base64.b64encode(ROOT).decode() + "\n",
        "origin\n٣\n" + base64.b64encode(ROOT).decode() + "\n",
        "origin\n9223372036854775808\n" + base64.b64encode(ROOT).decode() + "\n",
        "origin\n" + "9" * 5000 + "\n" + base64.b64encode(ROOT).decode() + "\n",
        "origin\n1\n" + base64.b64encode(ROOT[:31]).decode() + "\n",
        "origin\n1\nnot base64\n",
    ],
)
def test_another_text_than_a_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+c74f20a3",
        GO_KEY.replace("c74f20a3", "c74f20a4"),
        GO_KEY.replace("PeterNeumann", "Peter Neumann"),
        GO_KEY[:-4],
        "name+00000000+",
        "name+00000000+" + base64.b64encode(b"\x07" + bytes(32)).decode(),
    ],
)
def test_another_text_than_a_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        VerifierKey.parse(text)


def test_a_witness_key_of_ml_dsa_is_refused_by_name() -> None:
    material = b"\x06" + bytes(1312)
    encoded = base64.b64encode(material).decode()
    id_ = hashlib.sha256(b"witness.example\n" + material).digest()[:4].hex()
    with pytest.raises(NoteError, match="ML-DSA"):
        VerifierKey.parse(f"witness.example+{id_}+{encoded}")


def test_the_time_of_a_cosignature_is_read_from_its_line() -> None:
    private_key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    text = "log.example\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    witness = notes.verifier_key("witness.example", private_key, SignatureType.COSIGNATURE)
    assert notes.cosignature_time(notes.cosign(text, witness, private_key, 77).line) == 77
    log = notes.verifier_key("log.example", private_key)
    assert notes.cosignature_time(notes.sign(text, log, private_key).line) == 0
    with pytest.raises(NoteError):
        notes.cosignature_time("no line")
