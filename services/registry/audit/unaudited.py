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
    **dict.fromkeys(
        [("mandate_ends", each) for each in ("provider", "public_service", "end_time")],
        "no entry tells it; the provider sees its service serve again",
    ),
    **dict.fromkeys(
        [
            ("request_statements", each)
            for each in ("request", "statement_sha256", "applicant", "public_service")
        ],
        "which signed text a request rests on; each use verifies that text again",
    ),
    ("request_statements", "accept_time"): "which signed text a request rests on, and since when",
    (
        "request_events",
        "number",
    ): "the request's own order; the log has one of its own",
    ("request_events", "applicant"): "whom the openings go to; their statement names them",
    **dict.fromkeys(
        [
            ("consent_requests", each)
            for each in (
                "name",
                "organization",
                "subject",
                "document_type",
                "purpose",
                "purpose_text",
                "create_time",
                "expire_time",
                "state",
                "consent",
            )
        ],
        "a question; the consent that answers it is an entry, and signed as it was read",
    ),
    ("statement_versions", "version"): "a date of this installation, which a setting overrides",
    ("statement_versions", "first_start_time"): (
        "a date of this installation, which a setting overrides"
    ),
}
