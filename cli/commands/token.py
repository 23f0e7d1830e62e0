"""`qagazsyz token`: sign in and print the access token."""

from __future__ import annotations

from pathlib import Path

from cli.options import DEFAULT_GATEWAY, CredentialFile, Gateway, Organization
from cli.terminal import say


def token(
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
) -> None:
    """Sign in and print the access token and nothing else, for curl and scripts."""
    say(access_token(gateway, credential, organization))


def access_token(gateway: str, credential: Path | None, organization: str) -> str:
    """Sign in with a credential's file; return the access token. Raises Failure without one."""
    from cli.connection import (
        TIMEOUT_SECONDS,
        anonymous,
        load_credential,
        officer_organization,
    )
    from qagazsyz.client import answer_challenge
    from qagazsyz.identity.v1 import tokens_pb2, tokens_pb2_grpc

    holder = load_credential(credential)
    name = officer_organization(gateway, holder, organization)
    with anonymous(gateway) as channel:
        tokens = tokens_pb2_grpc.TokenServiceStub(channel)
        challenge = tokens.CreateChallenge(
            tokens_pb2.CreateChallengeRequest(organization=name), timeout=TIMEOUT_SECONDS
        )
        exchange = answer_challenge(holder, challenge)
        return tokens.ExchangeToken(exchange, timeout=TIMEOUT_SECONDS).access_token
