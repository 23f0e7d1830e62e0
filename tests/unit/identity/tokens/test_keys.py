"""Keys that sign tokens: how they are rotated, and which files are ignored."""

from __future__ import annotations

import jwt

from qagazsyz.identity.v1 import tokens_pb2
from services.identity.tokens.keys import TOKEN_KEYS_FOLDER
from tests.unit.identity.service import Identity


async def test_two_token_keys_overlap_in_the_key_set(identity: Identity) -> None:
    folder = identity.folder / TOKEN_KEYS_FOLDER
    old = next(folder.glob("*.pem"))
    certificate, key = await identity.issue(await identity.person())
    new = folder / "new.pem"
    new.touch(mode=0o600)
    new.write_bytes(old.read_bytes())
    answer = await identity.call("TokenService/GetKeySet", tokens_pb2.GetKeySetRequest())
    assert b'"new"' in answer.data and old.stem.encode() in answer.data
    token = await identity.sign_in(certificate.der, key)
    kid = jwt.get_unverified_header(token.access_token)["kid"]
    assert kid == old.stem, "a new key signs only after it has been published for a while"
    identity.clock.move(minutes=11)
    token = await identity.sign_in(certificate.der, key)
    assert jwt.get_unverified_header(token.access_token)["kid"] == "new"


async def test_a_token_key_that_others_can_read_is_ignored_and_the_rest_serve(
    identity: Identity,
) -> None:
    folder = identity.folder / TOKEN_KEYS_FOLDER
    good = next(folder.glob("*.pem"))
    loose, empty = folder / "open.pem", folder / "none.pem"
    loose.touch(mode=0o600)
    loose.write_bytes(good.read_bytes())
    loose.chmod(0o644)
    empty.touch(mode=0o600)
    certificate, key = await identity.issue(await identity.person())
    token = await identity.sign_in(certificate.der, key)
    assert jwt.get_unverified_header(token.access_token)["kid"] == good.stem
    published = await identity.call("TokenService/GetKeySet", tokens_pb2.GetKeySetRequest())
    assert b'"open"' not in published.data
    loose.chmod(0o600)
    published = await identity.call("TokenService/GetKeySet", tokens_pb2.GetKeySetRequest())
    assert b'"open"' in published.data
