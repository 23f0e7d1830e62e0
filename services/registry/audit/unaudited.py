"""Columns that the audit cannot compare, each with the reason why.

Every other column of every table is held by an entry of the log, or follows from columns that are.
A test changes one value in each and looks for its row and column in the audit's answer.
"""

from __future__ import annotations

from collections.abc import Mapping

# By table and column.
UNAUDITED: Mapping[tuple[str, str], str] = {
    ("document_signatures", "algorithm"): (
        "with another one the signature does not verify, and no reader takes it"
    ),
    ("document_signatures", "statement_version"): (
        "with another one the signature does not verify, and no reader takes it"
    ),
    ("documents", "revoke_reason"): "the entry tells that and when, and keeps no free text",
    ("documents", "erase_citation"): "the entry tells that and when, and keeps no free text",
    ("document_types", "pending_legal_bases"): (
        "no look-up rests on it: it is logged when a second operator approves it"
    ),
    ("identity_events", "number"): (
        "identity's own order, which may have gaps; the comparison with identity names what is "
        "missing from the log"
    ),
    ("identity_events", "basis"): (
        "a membership's entry does not tell it; a certificate's does, and is compared"
    ),
    ("log_cosignatures", "tree_size"): "of older trees than the newest cosigned one",
    ("requests", "method"): "serves a repeat of the same call only",
    ("requests", "scope"): "serves a repeat of the same call only",
    ("requests", "request_id"): "serves a repeat of the same call only",
    ("requests", "request_sha256"): "serves a repeat of the same call only",
    ("requests", "resource"): (
        "serves a repeat of the same call only, whose caller may read no more by it"
    ),
    ("statement_versions", "version"): "a date of this installation, which a setting overrides",
    ("statement_versions", "first_start_time"): (
        "a date of this installation, which a setting overrides"
    ),
}
