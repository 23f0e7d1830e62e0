"""The registry's tables, all of them, in one MetaData.

First the log's and the contents', whose statements are in log_store.py and
contents.py; then the documents', consents' and accesses', whose statements are
in store.py.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)

metadata = MetaData()

# --- The log -----------------------------------------------------------------

# One row: the tree that was signed last. Every group commit locks it first,
# so that two replicas take turns and can never sign two trees of one size.
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

# Full tiles only; a partial one is made from what lies a level below it.
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

# Where a document's content is and what opens it. Erasing a document deletes
# its row, and with it the only copy of the key.
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
