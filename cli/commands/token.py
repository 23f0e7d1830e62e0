"""`qagazsyz token`: sign in and print the access token."""

from __future__ import annotations

from cli.options import DEFAULT_GATEWAY, CredentialFile, Gateway, Organization
from cli.terminal import say


def token(
    credential: CredentialFile = None,
    organization: Organization = "",
    gateway: Gateway = DEFAULT_GATEWAY,
) -> None:
    """Sign in and print the access token and nothing else, for curl and scripts."""
    from cli.connection import signing_in

    with signing_in(gateway, credential, organization) as sign_in:
        say(sign_in.token().access_token)
