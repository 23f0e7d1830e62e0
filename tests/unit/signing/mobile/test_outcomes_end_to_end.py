from __future__ import annotations

from qagazsyz.signing.v1 import mobile_signatures_pb2 as pb
from signatures.x509 import is_signed_by_certificate
from tests.unit.signing.mobile.world import MESSAGE, World


async def test_a_person_signs(world: World) -> None:
    subject, _ = await world.person()
    created = await world.create(subject)
    assert created.state == pb.MOBILE_SIGNATURE_STATE_WAITING
    assert created.display_text == "Qagazsyz: contract 17"
    ended = await world.until(created.name)
    assert ended.state == pb.MOBILE_SIGNATURE_STATE_SIGNED
    assert is_signed_by_certificate(ended.certificate, ended.algorithm, MESSAGE, ended.signature)
