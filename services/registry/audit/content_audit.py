"""Is every content there, and the registered one?"""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.audit import store
from services.registry.audit.differences import Difference, DifferenceKind
from services.registry.contents.packs import ContentLost, Contents, object_key_of
from services.runtime.storage.object_store import ObjectMissing, ObjectStore


async def check_contents(
    connection: AsyncConnection, contents: Contents, objects: ObjectStore
) -> list[Difference]:
    """Return every difference of contents, their keys and their objects.

    Contents are read in the order of their objects, so that each object is read once.
    """
    differences = [
        _differs(name, "its content's key is missing")
        for name in await store.find_documents_without_content(connection)
    ]
    object_key, data = "", b""
    async for stored in store.stream_contents(connection):
        reference = stored.reference
        if stored.content_sha256 is None:
            differences.append(_differs(stored.document, "its content's key should not be there"))
            continue
        if reference.object_key != object_key:
            object_key = reference.object_key
            data, found = await _read_object(objects, object_key)
            differences += found
        sealed = data[reference.position : reference.position + reference.length]
        if len(sealed) != reference.length and data:
            what = f"its content in {object_key} is not as long as its length"
            differences.append(_differs(stored.document, what))
            continue
        try:
            content = contents.open(reference, sealed, stored.content_sha256)
        except ContentLost as lost:
            differences.append(_differs(stored.document, f"its content in {lost}"))
            continue
        if len(content) != stored.size_bytes:
            differences.append(_differs(stored.document, "size_bytes is not its content's"))
    return differences


async def _read_object(objects: ObjectStore, object_key: str) -> tuple[bytes, list[Difference]]:
    try:
        data = await objects.get(object_key)
    except ObjectMissing:
        return b"", [_differs(object_key, "is missing")]
    if object_key_of(data) != object_key:
        return data, [_differs(object_key, "was changed")]
    return data, []


def _differs(where: str, what: str) -> Difference:
    return Difference(DifferenceKind.CONTENT, where, what)
