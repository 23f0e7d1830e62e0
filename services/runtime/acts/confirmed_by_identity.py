"""Confirmations in a service that asks identity for certificates and challenges."""

from __future__ import annotations

import grpc

from qagazsyz.identity.v1 import certificates_pb2, tokens_pb2
from services.runtime.acts.confirmations import Confirmations, IsSigned
from services.runtime.clients import ServiceClient
from services.runtime.clock import Clock, from_timestamp


def confirmations_by(identity: ServiceClient, is_signed: IsSigned, clock: Clock) -> Confirmations:
    """Return the check of a service that asks identity for certificates and challenges."""

    async def find_certificate(subject: str, fingerprint: str) -> bytes | None:
        try:
            found = await identity.call(
                "qagazsyz.identity.v1.CertificateService/GetCertificate",
                certificates_pb2.GetCertificateRequest(
                    name=f"{subject}/certificates/{fingerprint}"
                ),
                certificates_pb2.Certificate,
            )
        except grpc.aio.AioRpcError:
            return None
        is_valid = not found.HasField("revoke_time") and clock() <= from_timestamp(found.not_after)
        return found.der if is_valid else None

    async def use_challenge(challenge: bytes, act: bytes) -> bool:
        try:
            await identity.call(
                "qagazsyz.identity.v1.TokenService/UseConfirmation",
                tokens_pb2.UseConfirmationRequest(challenge=challenge, act=act),
                tokens_pb2.UseConfirmationResponse,
            )
        except grpc.aio.AioRpcError:
            return False
        return True

    async def find_signature(name: str) -> tuple[int, bytes] | None:
        try:
            found = await identity.call(
                "qagazsyz.identity.v1.TokenService/FindMobileSignature",
                tokens_pb2.FindMobileSignatureRequest(name=name),
                tokens_pb2.FindMobileSignatureResponse,
            )
        except grpc.aio.AioRpcError:
            return None
        return int(found.algorithm), found.signature

    return Confirmations(find_certificate, is_signed, use_challenge, find_signature)
