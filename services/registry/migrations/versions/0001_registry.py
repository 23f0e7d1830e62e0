"""The log, contents, documents and their types, consents, accesses, and what request_ids made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from services.runtime.storage.database import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "access_subjects",
        sa.Column("access", sa.String(length=80), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("position", sa.SmallInteger()),
        sa.Column("salt", sa.LargeBinary(length=32)),
        sa.PrimaryKeyConstraint("access", "subject"),
    )
    op.create_index("accesses_by_subject", "access_subjects", ["subject", "access"])
    op.create_table(
        "accesses",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("event", sa.SmallInteger(), nullable=False),
        sa.Column("organization", sa.String(length=80), nullable=False),
        sa.Column("officer", sa.String(length=80), nullable=False),
        sa.Column("officer_salt", sa.LargeBinary(length=32), nullable=False),
        sa.Column("document_type", sa.String(length=80), nullable=False),
        sa.Column("purpose", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("documents", sa.JSON(), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "contents",
        sa.Column("document", sa.String(length=80), nullable=False),
        sa.Column("object_key", sa.String(length=80), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("wrapping_key_id", sa.String(length=64), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(length=60), nullable=False),
        sa.PrimaryKeyConstraint("document"),
    )
    op.create_index("contents_by_object", "contents", ["object_key"])
    op.create_table(
        "document_signatures",
        sa.Column("document", sa.String(length=80), nullable=False),
        sa.Column("position", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("algorithm", sa.SmallInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("signer", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("document", "position"),
    )
    op.create_table(
        "document_subjects",
        sa.Column("document", sa.String(length=80), nullable=False),
        sa.Column("position", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("salt", sa.LargeBinary(length=32)),
        sa.PrimaryKeyConstraint("document", "position"),
    )
    op.create_index("documents_by_subject", "document_subjects", ["subject", "document"])
    op.create_table(
        "document_types",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("display_names", sa.JSON(), nullable=False),
        sa.Column("issuers", sa.JSON(), nullable=False),
        sa.Column("legal_bases", sa.JSON(), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("etag", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "documents",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("document_type", sa.String(length=80), nullable=False),
        sa.Column("issuer", sa.String(length=80), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("media_type", sa.String(length=255), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("content_sha256", sa.LargeBinary(length=32)),
        sa.Column("content_salt", sa.LargeBinary(length=32)),
        sa.Column("statement_key", sa.LargeBinary(length=32)),
        sa.Column("verification_code", sa.String(length=16), nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("expire_time", UtcDateTime),
        sa.Column("revoke_time", UtcDateTime),
        sa.Column("revoke_reason", sa.Text(), nullable=False),
        sa.Column("erase_time", UtcDateTime),
        sa.Column("erase_citation", sa.Text(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.Column("revoke_index", sa.BigInteger()),
        sa.Column("erase_index", sa.BigInteger()),
        sa.PrimaryKeyConstraint("name"),
        sa.UniqueConstraint("statement_key"),
        sa.UniqueConstraint("verification_code"),
    )
    op.create_index("documents_by_content", "documents", ["content_sha256"])
    op.create_index("documents_by_issuer", "documents", ["issuer", "name"])
    op.create_index("documents_by_type", "documents", ["document_type", "name"])
    op.create_table(
        "log_cosignatures",
        sa.Column("tree_size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("witness", sa.String(length=300), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tree_size", "witness"),
    )
    op.create_table(
        "log_entries",
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("log_index"),
    )
    op.create_table(
        "log_head",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("tree_size", sa.BigInteger(), nullable=False),
        sa.Column("root_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("checkpoint", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "log_tiles",
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("tile_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "tile_index"),
    )
    op.create_table(
        "requests",
        sa.Column("method", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=80), nullable=False),
        sa.Column("request_id", sa.String(length=36), nullable=False),
        sa.Column("request_sha256", sa.LargeBinary(length=32)),
        sa.Column("resource", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("method", "scope", "request_id"),
    )
    op.create_index("requests_by_resource", "requests", ["resource"])
    op.create_table(
        "consents",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("organization", sa.String(length=80), nullable=False),
        sa.Column("document_type", sa.String(length=80), nullable=False),
        sa.Column("purpose", sa.String(length=64), nullable=False),
        sa.Column("purpose_text", sa.Text(), nullable=False),
        sa.Column("create_time", UtcDateTime, nullable=False),
        sa.Column("expire_time", UtcDateTime, nullable=False),
        sa.Column("withdraw_time", UtcDateTime),
        sa.Column("grant_salt", sa.LargeBinary(length=32), nullable=False),
        sa.Column("withdraw_salt", sa.LargeBinary(length=32)),
        sa.Column("grant_index", sa.BigInteger(), nullable=False),
        sa.Column("withdraw_index", sa.BigInteger()),
        sa.ForeignKeyConstraint(
            ["document_type"],
            ["document_types.name"],
        ),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_index("consents_by_organization", "consents", ["organization", "name"])
    op.create_index("consents_by_subject", "consents", ["subject", "name"])
    op.create_index(
        "consents_by_use", "consents", ["subject", "organization", "document_type", "purpose"]
    )
