"""A service renews its credential with the running identity, and an operator revokes it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import grpc
import pytest

from qagazsyz.credentials import Credential
from qagazsyz.identity.v1 import certificates_pb2, certificates_pb2_grpc
from services.runtime.clients import InternalTokens, ServiceClient, open_channel
from services.runtime.credentials.renewal import RENEW, renew_credential
from services.runtime.errors import Unavailable
from tests.integration.world import TIMEOUT_SECONDS, World

SERVICE = "services/signing"


def address_of_identity(world: World) -> str:
    """Where identity listens, as `up` told it."""
    variables = Path(f"/proc/{world.suite.children()['identity']}/environ").read_bytes()
    (address,) = re.findall(rb"(?:^|\0)QAGAZSYZ_LISTEN=([^\0]*)", variables)
    return bytes(address).decode()


async def test_a_renewed_credential_signs_in_until_an_operator_revokes_it(
    world: World, tmp_path: Path
) -> None:
    # A copy, as a replica on another machine has it: the suite's own stays in use.
    path = tmp_path / "credential.pem"
    shutil.copy(world.suite.data / "signing" / "credential.pem", path)
    first = Credential.load(path)
    operators = certificates_pb2_grpc.CertificateServiceStub(world.client(world.operator).channel)
    async with open_channel(address_of_identity(world)) as channel:
        tokens = InternalTokens.load(channel, path)
        new = await renew_credential(ServiceClient(channel, tokens), tokens, path)
        assert new.certificate == Credential.load(path).certificate != first.certificate
        assert await tokens.get()
        assert await InternalTokens(channel, first).get(), "the old one is good for a day"

        listed = await operators.ListCertificates(
            certificates_pb2.ListCertificatesRequest(subject=SERVICE), timeout=TIMEOUT_SECONDS
        )
        found = {certificate.der: certificate for certificate in listed.certificates}
        assert found[first.certificate].HasField("sign_in_end_time")
        async with world.http() as web:
            revoked = await web.post(
                f"/v1/{found[new.certificate].name}:revoke",
                json={},
                headers=await world.headers(world.operator),
            )
        assert revoked.json()["state"] == "CERTIFICATE_STATE_REVOKED"
        with pytest.raises(Unavailable):
            await InternalTokens(channel, new).get()


async def test_the_gateway_renews_no_credential(world: World) -> None:
    credential = world.suite.data / "signing" / "credential.pem"
    async with (
        open_channel(address_of_identity(world)) as identity,
        open_channel(world.suite.gateway) as gateway,
    ):
        tokens = InternalTokens.load(identity, credential)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ServiceClient(gateway, tokens).call(
                RENEW,
                certificates_pb2.RenewServiceCredentialRequest(certificate_request=b"0"),
                certificates_pb2.Certificate,
            )
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
