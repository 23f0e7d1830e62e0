"""All SQL of public services: their versions, the approvals of these, and keywords."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.requests.model.keywords import fold_keyword
from services.requests.model.public_services import Approval, Evidence, PublicService
from services.requests.model.service_requests import Proof
from services.requests.tables import keywords, public_service_versions, public_services

_versions = public_service_versions.c


async def find(connection: AsyncConnection, name: str) -> PublicService | None:
    """Return the service in its present version, or None."""
    row = (await connection.execute(_present().where(public_services.c.name == name))).first()
    return None if row is None else _service(row)


async def find_version(
    connection: AsyncConnection, name: str, version: int
) -> PublicService | None:
    """Return one version of a service, or None."""
    statement = select(public_service_versions).where(
        _versions.name == name, _versions.version == version
    )
    row = (await connection.execute(statement)).first()
    return None if row is None else _service(row)


async def list_services(
    connection: AsyncConnection, *, after: str, limit: int
) -> list[PublicService]:
    """Return services in their present versions, by name, those behind `after`."""
    statement = (
        _present()
        .where(public_services.c.name > after)
        .order_by(public_services.c.name)
        .limit(limit)
    )
    return [_service(row) for row in await connection.execute(statement)]


async def insert_service(connection: AsyncConnection, service: PublicService) -> None:
    """Store the first version of a service. Raises IntegrityError if there is one of the name."""
    await connection.execute(insert(public_services).values(name=service.name, version=1))
    await _insert_version(connection, service)


async def replace_service(
    connection: AsyncConnection, service: PublicService, *, version_before: int
) -> bool:
    """Store the next version of a service; return False if another was stored meanwhile."""
    changed = await connection.execute(
        update(public_services)
        .where(public_services.c.name == service.name, public_services.c.version == version_before)
        .values(version=service.version)
    )
    if changed.rowcount == 0:
        return False
    await _insert_version(connection, service)
    return True


async def approve(
    connection: AsyncConnection, name: str, approval: Approval, *, mandate_time: datetime
) -> bool:
    """Store the approval of a version, in place of one before; return False if the mandate that
    was signed is not the version's any more, because it was suspended meanwhile."""
    changed = await connection.execute(
        update(public_service_versions)
        .where(
            _versions.name == name,
            _versions.version == approval.version,
            _versions.mandate_time == mandate_time,
        )
        .values(
            officer=approval.officer,
            approve_time=approval.time,
            certificate=approval.proof.certificate,
            algorithm=approval.proof.algorithm,
            signature=approval.proof.signature,
        )
    )
    return changed.rowcount > 0


async def suspend(connection: AsyncConnection, name: str, now: datetime) -> None:
    """End the approvals of all versions of a service; another approval is of another mandate."""
    await connection.execute(
        update(public_service_versions)
        .where(_versions.name == name)
        .values(
            officer=None,
            approve_time=None,
            certificate=None,
            algorithm=None,
            signature=None,
            mandate_time=now,
        )
    )


async def set_mandate_time(connection: AsyncConnection, name: str, time: datetime) -> None:
    """Store the time of the mandates that are signed from now on: of all versions that nobody has
    approved since."""
    await connection.execute(
        update(public_service_versions)
        .where(_versions.name == name, _versions.approve_time.is_(None))
        .values(mandate_time=time)
    )


async def keyword_owners(connection: AsyncConnection, service: PublicService) -> set[str]:
    """Return the other services that one of the service's keywords belongs to."""
    folded = [fold_keyword(each) for each in (service.keywords or {}).values()]
    statement = select(keywords.c.public_service).where(
        keywords.c.short_number == service.short_number,
        keywords.c.keyword.in_(folded),
        keywords.c.public_service != service.name,
    )
    return set((await connection.execute(statement)).scalars())


async def _insert_version(connection: AsyncConnection, service: PublicService) -> None:
    await connection.execute(
        insert(public_service_versions).values(
            name=service.name,
            version=service.version,
            mandate_time=service.mandate_time,
            definition=_definition(service),
        )
    )
    await connection.execute(delete(keywords).where(keywords.c.public_service == service.name))
    folded = {fold_keyword(each) for each in (service.keywords or {}).values()}
    if folded and not service.is_retired:
        await connection.execute(
            insert(keywords),
            [
                {
                    "short_number": service.short_number,
                    "keyword": each,
                    "public_service": service.name,
                }
                for each in sorted(folded)
            ],
        )


def _present() -> Select[Any]:
    return select(public_service_versions).join(
        public_services,
        and_(
            public_services.c.name == _versions.name,
            public_services.c.version == _versions.version,
        ),
    )


def _definition(service: PublicService) -> str:
    return json.dumps(
        {
            "display_names": dict(service.display_names),
            "provider": service.provider,
            "output": service.output,
            "evidence": [
                [each.document_type, each.purpose, list(each.attributes), each.is_required]
                for each in service.evidence
            ],
            "time_limit_days": service.time_limit_days,
            "keywords": dict(service.keywords or {}),
            "short_number": service.short_number,
            "is_retired": service.is_retired,
            "key": service.key,
            "output_template": service.output_template,
            "appeal_body": service.appeal_body,
        },
        ensure_ascii=False,
    )


def _service(row: Row[Any]) -> PublicService:
    definition = json.loads(row.definition)
    evidence: Sequence[Any] = definition.pop("evidence")
    approval = None
    if row.approve_time is not None:
        proof = Proof(row.officer, row.certificate, row.algorithm, row.signature)
        approval = Approval(row.version, row.officer, row.approve_time, proof)
    return PublicService(
        name=row.name,
        version=row.version,
        mandate_time=row.mandate_time,
        approval=approval,
        evidence=tuple(
            Evidence(document_type, purpose, tuple(attributes), is_required)
            for document_type, purpose, attributes, is_required in evidence
        ),
        **definition,
    )
