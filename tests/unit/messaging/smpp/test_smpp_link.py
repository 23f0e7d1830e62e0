"""The link signs in, by TLS where asked, notices silence, and comes back."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from qagazsyz.messaging.v1 import messages_pb2
from services.messaging.smpp.session import Lost, Session, check_deliver_sm
from services.messaging.smpp.smpp_link import Pace
from tests.smsc import Delivery, Smsc, running
from tests.unit.messaging.builders import Service, account, linked

SENT = messages_pb2.MESSAGE_STATE_SENT


def certificate(folder: Path, address: str) -> Path:
    """Make a certificate for an address, in one file with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "smsc")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{address}.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made.public_bytes(Encoding.PEM) + pem)
    return path


async def test_the_smscs_name_is_checked_by_tls(service: Service, tmp_path: Path) -> None:
    asked = await service.send()
    for address, is_right in (("127.0.0.2", False), ("127.0.0.1", True)):
        file = certificate(tmp_path, address)
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.load_cert_chain(file)
        client = ssl.create_default_context(cafile=file)
        async with running(Smsc(), server) as smsc:
            if not is_right:
                with pytest.raises(Lost):
                    await asyncio.to_thread(Session.open, account(smsc, tls=client))
                assert smsc.binds == 0
                continue
            await smsc.deliver(Delivery("77010000001", "1414", b"R 1"))
            async with linked(service, smsc, tls=client):
                await service.until(asked.name, SENT)
                await smsc.until(lambda: len(smsc.acknowledged) == 1)


async def test_a_wrong_password_is_tried_again_and_nothing_is_sent(
    service: Service, smsc: Smsc
) -> None:
    asked = await service.send()
    right, smsc.password = smsc.password, "other"
    wrong = Smsc(password=right, port=smsc.port)
    async with linked(service, wrong):
        await smsc.until(lambda: smsc.binds >= 2)
        assert smsc.taken == []
        smsc.password = right
        await service.until(asked.name, SENT)


async def test_a_silent_smsc_is_asked_and_then_left(service: Service, smsc: Smsc) -> None:
    smsc.answers_enquiries = False
    pace = Pace(first_pause=0.01, last_pause=0.05, enquire_link=0.05)
    async with linked(service, smsc, pace=pace):
        await smsc.until(lambda: smsc.binds >= 2)
        assert smsc.enquiries >= 1
        smsc.answers_enquiries = True
        await service.until((await service.send()).name, SENT)


async def test_a_submission_without_an_answer_ends_the_session(
    service: Service, smsc: Smsc
) -> None:
    async def answer(_: object) -> int | None:
        return None if smsc.binds == 1 else 0

    smsc.answering = answer
    asked = await service.send()
    pace = Pace(first_pause=0.01, last_pause=0.05, answer=0.05)
    async with linked(service, smsc, pace=pace):
        assert (await service.until(asked.name, SENT)).maybe_twice


def test_no_field_of_a_pdu_may_lie_beyond_its_end() -> None:
    body = Delivery("77010000001", "1414", b"text", parameters=b"\x04\x24\0\1x").body()
    check_deliver_sm(body)
    for length in range(len(body)):
        if length == len(body) - 5:  # without its one parameter it is whole
            continue
        with pytest.raises(ValueError, match=r"."):
            check_deliver_sm(body[:length])
