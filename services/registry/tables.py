"""All tables of the registry. Each room's statements are in its store.py."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)

from services.runtime.storage.database import UtcDateTime
from services.runtime.storage.kept_requests import resource_requests_table

metadata = MetaData()

# --- The log -----------------------------------------------------------------

# One row: the tree that was signed last. Every group commit locks it first, so that two replicas
# take turns and never sign two trees of one size.
log_head = Table(
    "log_head",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("tree_size", BigInteger, nullable=False),
    Column("root_hash", LargeBinary(32), nullable=False),
    # The signed note, as it is served.
    Column("checkpoint", LargeBinary, nullable=False),
)

log_entries = Table(
    "log_entries",
    metadata,
    Column("log_index", BigInteger, primary_key=True, autoincrement=False),
    # SHA-256(0x00 || entry), so that a replica catches up without the entries.
    Column("leaf_hash", LargeBinary(32), nullable=False),
    Column("entry", LargeBinary, nullable=False),
)

# Full tiles only; a partial one is made from the level below it.
log_tiles = Table(
    "log_tiles",
    metadata,
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("tile_index", BigInteger, primary_key=True, autoincrement=False),
    # The root over the tile: one hash of the tile above.
    Column("root_hash", LargeBinary(32), nullable=False),
    # 256 hashes, 8,192 bytes.
    Column("hashes", LargeBinary, nullable=False),
)

# Witnesses' cosignatures over trees that this log signed.
log_cosignatures = Table(
    "log_cosignatures",
    metadata,
    Column("tree_size", BigInteger, primary_key=True, autoincrement=False),
    # The witness' verifier key, name+hash+key.
    Column("witness", String(300), primary_key=True),
    # The signature line of the note, with its newline.
    Column("line", Text, nullable=False),
)

# --- Contents ----------------------------------------------------------------

# Where a document's content is, and the key that decrypts it. Erasing a document deletes its row,
# and with it the only copy of the key.
contents = Table(
    "contents",
    metadata,
    Column("document", String(80), primary_key=True),
    # "packs/{SHA-256 of the object's bytes}"; several documents share one.
    Column("object_key", String(80), nullable=False),
    Column("position", BigInteger, nullable=False),
    # Of the ciphertext, the tag of 16 bytes included.
    Column("length", Integer, nullable=False),
    # Which key-encryption key wrapped the document's key.
    Column("wrapping_key_id", String(64), nullable=False),
    # Nonce (12 bytes) || AES-256-GCM of the document's key (48 bytes).
    Column("wrapped_key", LargeBinary(60), nullable=False),
    Index("contents_by_object", "object_key"),
)

# --- Documents, consents, accesses -------------------------------------------
#
# Names are whole resource names ("documents/0190…"). Their ids begin with the time, so that rows
# and indexes grow at their ends. Each salt opens one commitment of a log entry; erasing a document
# sets its own to NULL.

_NAME = String(80)

document_types = Table(
    "document_types",
    metadata,
    Column("name", _NAME, primary_key=True),
    # A few rows, always read whole: lists and maps are stored as JSON.
    Column("display_names", JSON, nullable=False),
    Column("issuers", JSON, nullable=False),
    Column("legal_bases", JSON, nullable=False),
    # Empty if contents have no structure.
    Column("attributes", JSON, nullable=False),
    Column("etag", String(32), nullable=False),
    # With who asked for them and when; NULL if none wait for a second operator.
    Column("pending_legal_bases", JSON(none_as_null=True)),
)

# What each entry of a type's change was made from; the newest of a type is what the type is.
type_changes = Table(
    "type_changes",
    metadata,
    Column("log_index", BigInteger, primary_key=True, autoincrement=False),
    Column("document_type", _NAME, nullable=False),
    Column("time", UtcDateTime, nullable=False),
    Column("type_sha256", LargeBinary(32), nullable=False),
    Column("issuers", JSON, nullable=False),
    Column("legal_bases", JSON, nullable=False),
    Index("type_changes_by_type", "document_type", "log_index"),
)

documents = Table(
    "documents",
    metadata,
    Column("name", _NAME, primary_key=True),
    Column("document_type", _NAME, nullable=False),
    Column("issuer", _NAME, nullable=False),
    Column("title", Text, nullable=False),
    Column("media_type", String(255), nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("content_sha256", LargeBinary(32)),
    Column("content_salt", LargeBinary(32)),
    # SHA-256 over issuer and statement: the same statement by the same issuer is one document.
    # NULL once erased, so that it may be registered anew.
    Column("statement_key", LargeBinary(32), unique=True),
    # Without hyphens.
    Column("verification_code", String(16), nullable=False, unique=True),
    Column("create_time", UtcDateTime, nullable=False),
    Column("expire_time", UtcDateTime),
    Column("revoke_time", UtcDateTime),
    Column("revoke_reason", Text, nullable=False),
    Column("erase_time", UtcDateTime),
    Column("erase_citation", Text, nullable=False),
    # The log indexes of its registration, revocation and erasure.
    Column("log_index", BigInteger, nullable=False),
    Column("revoke_index", BigInteger),
    Column("erase_index", BigInteger),
    Index("documents_by_content", "content_sha256"),
    Index("documents_by_issuer", "issuer", "name"),
    Index("documents_by_type", "document_type", "name"),
)

document_subjects = Table(
    "document_subjects",
    metadata,
    Column("document", _NAME, primary_key=True),
    Column("position", SmallInteger, primary_key=True, autoincrement=False),
    Column("subject", _NAME, nullable=False),
    Column("salt", LargeBinary(32)),
    Index("documents_by_subject", "subject", "document"),
)

# Deleted when the document is erased.
document_signatures = Table(
    "document_signatures",
    metadata,
    Column("document", _NAME, primary_key=True),
    Column("position", SmallInteger, primary_key=True, autoincrement=False),
    # X.509, DER.
    Column("certificate", LargeBinary, nullable=False),
    # qagazsyz.common.v1.SignatureAlgorithm.
    Column("algorithm", SmallInteger, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("signer", _NAME, nullable=False),
    # Of the statement that it is over: 2 if it names the issuer.
    Column("statement_version", SmallInteger, nullable=False),
)

# One row: when the registry first started with statements of version 2.
statement_versions = Table(
    "statement_versions",
    metadata,
    Column("version", SmallInteger, primary_key=True, autoincrement=False),
    Column("first_start_time", UtcDateTime, nullable=False),
)

consents = Table(
    "consents",
    metadata,
    Column("name", _NAME, primary_key=True),
    Column("subject", _NAME, nullable=False),
    Column("organization", _NAME, nullable=False),
    Column("document_type", _NAME, ForeignKey("document_types.name"), nullable=False),
    Column("purpose", String(64), nullable=False),
    Column("purpose_text", Text, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
    Column("withdraw_time", UtcDateTime),
    # The subject's commitment in the entry of the grant, and of the withdrawal.
    Column("grant_salt", LargeBinary(32), nullable=False),
    Column("withdraw_salt", LargeBinary(32)),
    # The purpose's text in each; NULL where the entry is of version 1.
    Column("grant_text_salt", LargeBinary(32)),
    Column("withdraw_text_salt", LargeBinary(32)),
    Column("grant_index", BigInteger, nullable=False),
    Column("withdraw_index", BigInteger),
    Index("consents_by_subject", "subject", "name"),
    Index("consents_by_organization", "organization", "name"),
    # For look-ups.
    Index("consents_by_use", "subject", "organization", "document_type", "purpose"),
)

accesses = Table(
    "accesses",
    metadata,
    Column("name", _NAME, primary_key=True),
    # qagazsyz.registry.v1.AccessEvent.
    Column("event", SmallInteger, nullable=False),
    Column("organization", _NAME, nullable=False),
    Column("officer", _NAME, nullable=False),
    Column("officer_salt", LargeBinary(32), nullable=False),
    Column("document_type", _NAME, nullable=False),
    Column("purpose", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("basis", Text, nullable=False),
    # Their names, in the entry's order.
    Column("documents", JSON, nullable=False),
    # JSON pointers of the attributes looked up; empty for whole documents.
    Column("attributes", JSON, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("log_index", BigInteger, nullable=False),
    # The salts of its other commitments derive from it; NULL where the entry is of version 1.
    Column("entry_salt", LargeBinary(32)),
    Index("accesses_by_organization", "organization", "name"),
)

# The subjects who see an access: those it names, with position and salt of their commitments, and
# the other subjects of documents that it found, with NULL in both.
access_subjects = Table(
    "access_subjects",
    metadata,
    Column("access", _NAME, primary_key=True),
    Column("subject", _NAME, primary_key=True),
    Column("position", SmallInteger),
    Column("salt", LargeBinary(32)),
    Index("accesses_by_subject", "subject", "access"),
)

# What identity told, as the log has it.
identity_events = Table(
    "identity_events",
    metadata,
    # Identity's number: whichever replica is the second to log an event meets this key.
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    # qagazsyz.identity.v1.IdentityEventKind and IdentityEventBasis.
    Column("kind", SmallInteger, nullable=False),
    Column("basis", SmallInteger, nullable=False),
    Column("time", UtcDateTime, nullable=False),
    Column("subject", _NAME, nullable=False),
    # "" where there is none.
    Column("organization", _NAME, nullable=False),
    # SHA-256 of the certificate's DER; empty for a membership.
    Column("fingerprint", LargeBinary(32), nullable=False),
    # qagazsyz.common.v1.Role.
    Column("role", SmallInteger, nullable=False),
    Column("officers", JSON, nullable=False),
    # Of the entry's commitments in their order, 32 bytes each, one behind the other.
    Column("salts", LargeBinary, nullable=False),
    Column("log_index", BigInteger, nullable=False),
    Index("identity_events_by_subject", "subject", "number"),
    Index("identity_events_by_fingerprint", "fingerprint"),
)

# --- Acts on behalf ----------------------------------------------------------

# Until when the mandates of a provider's public service have ended.
mandate_ends = Table(
    "mandate_ends",
    metadata,
    Column("provider", _NAME, primary_key=True),
    Column("public_service", _NAME, primary_key=True),
    Column("end_time", UtcDateTime, nullable=False),
)

# The statement that each request rests on, since it was verified first.
request_statements = Table(
    "request_statements",
    metadata,
    Column("request", _NAME, primary_key=True),
    # SHA-256 of the signed text.
    Column("statement_sha256", LargeBinary(32), nullable=False),
    Column("applicant", _NAME, nullable=False),
    Column("public_service", _NAME, nullable=False),
    Column("accept_time", UtcDateTime, nullable=False),
)

# Changes of requests, as the log has them.
request_events = Table(
    "request_events",
    metadata,
    Column("request", _NAME, primary_key=True),
    # From 1, without gaps.
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("public_service", _NAME, nullable=False),
    Column("applicant", _NAME, nullable=False),
    # Canonical JSON.
    Column("change", LargeBinary, nullable=False),
    Column("time", UtcDateTime, nullable=False),
    # The salts of its commitments derive from it.
    Column("entry_salt", LargeBinary(32), nullable=False),
    Column("log_index", BigInteger, nullable=False),
    Index("request_events_by_applicant", "applicant", "log_index"),
    Index("request_events_by_index", "log_index"),
)

consent_requests = Table(
    "consent_requests",
    metadata,
    Column("name", _NAME, primary_key=True),
    Column("organization", _NAME, nullable=False),
    # NULL if it asks nobody.
    Column("subject", _NAME),
    Column("document_type", _NAME, nullable=False),
    Column("purpose", String(64), nullable=False),
    Column("purpose_text", Text, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    # Of the consent, in whole seconds.
    Column("expire_time", UtcDateTime, nullable=False),
    # qagazsyz.registry.v1.ConsentRequestState; that it has lapsed is not stored.
    Column("state", SmallInteger, nullable=False),
    # Once given.
    Column("consent", _NAME),
    Index("consent_requests_by_organization", "organization", "name"),
    Index("consent_requests_by_subject", "subject", "name"),
)

# Kept for ever; a look-up's serves as long as its access record.
requests = resource_requests_table(metadata)
