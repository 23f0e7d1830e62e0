"""Signatures on phones where no messaging runs; test_phones.py has them where it does."""

from __future__ import annotations

import grpc
import pytest

from qagazsyz.signing.v1 import mobile_signatures_pb2 as pb
from qagazsyz.signing.v1 import mobile_signatures_pb2_grpc
from tests.integration.world import TIMEOUT_SECONDS, World


async def test_a_suite_without_a_mobile_network_says_so(world: World) -> None:
    citizen = await world.citizen()
    channel = world.client(citizen).channel
    stub = mobile_signatures_pb2_grpc.MobileSignatureServiceStub(channel)
    request = pb.CreateMobileSignatureRequest(
        subject=citizen.subject, message=b"contract 17", display_text="contract 17"
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.CreateMobileSignature(request, timeout=TIMEOUT_SECONDS)
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert refused.value.details() == "this platform sends no short messages"
    listed = await stub.ListMobileSignatures(
        pb.ListMobileSignaturesRequest(subject=citizen.subject), timeout=TIMEOUT_SECONDS
    )
    assert list(listed.mobile_signatures) == []
