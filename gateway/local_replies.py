"""Envoy's local replies, its own refusals, mapped to google.rpc.Status as services answer it.

A gRPC caller gets a status and a message; statuses that Envoy chooses badly (INTERNAL for a bad
request, UNAVAILABLE for too many) are replaced here. A JSON caller gets the same JSON as from a
service: code, message, details. A gRPC-Web caller gets a response of headers alone, as from a
service: from a body Envoy would make a status of its own, UNKNOWN or INTERNAL.
"""

from __future__ import annotations

import base64
from typing import Any

from google.protobuf import duration_pb2, json_format
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from gateway.json_requests import METADATA
from gateway.routes import KIND_HEADER, ORIGINAL_PATH
from services.runtime.errors import ResourceExhausted
from services.runtime.status import ERROR_DOMAIN, status_of

Json = dict[str, Any]

# By the HTTP status that Envoy refuses with: the HTTP status and google.rpc.Code that callers get.
STATUSES: dict[int, tuple[int, int]] = {
    400: (400, code_pb2.INVALID_ARGUMENT),
    401: (401, code_pb2.UNAUTHENTICATED),
    # Envoy calls a token of another audience forbidden; services say UNAUTHENTICATED.
    403: (401, code_pb2.UNAUTHENTICATED),
    405: (405, code_pb2.UNIMPLEMENTED),
    # The call's deadline passed.
    408: (504, code_pb2.DEADLINE_EXCEEDED),
    413: (413, code_pb2.RESOURCE_EXHAUSTED),
    415: (415, code_pb2.UNIMPLEMENTED),
    426: (426, code_pb2.FAILED_PRECONDITION),
    431: (431, code_pb2.RESOURCE_EXHAUSTED),
    500: (500, code_pb2.INTERNAL),
    503: (503, code_pb2.UNAVAILABLE),
    504: (504, code_pb2.DEADLINE_EXCEEDED),
}
# Messages for gRPC-Web callers, who do not get the body with Envoy's own.
WORDS = {
    400: "the request is malformed",
    401: "the token is missing or does not hold",
    403: "the token is not for this",
    404: "no such method",
    405: "no such method",
    408: "the time for the call is up",
    413: "the request is too large",
    415: "the encoding or the content type is not known",
    426: "another protocol is needed",
    431: "the headers are too large",
    500: "internal error",
    503: "a part of the platform cannot be reached",
    504: "the time for the call is up",
}


def _details(expression: str) -> Json:
    name = "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
    return {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": {
                "@type": f"type.googleapis.com/{name}",
                "expression": f"response.code_details{expression}",
            },
        }
    }


# Refusals by a circuit breaker or the overload manager, which Envoy answers with 503.
TOO_MANY: Json = {
    "or_filter": {
        "filters": [{"response_flag_filter": {"flags": ["UO"]}}, _details(' == "overload"')]
    }
}
# Refusals because identity's token keys are not fetched yet, which are not the caller's fault.
NO_KEYS: Json = _details('.contains("Jwks_remote_fetch")')
RETRY_AFTER_SECONDS = 1
# Native gRPC: for JSON calls the transcoder sets ORIGINAL_PATH, which callers cannot send.
IS_GRPC: Json = {
    "and_filter": {
        "filters": [
            {
                "header_filter": {
                    "header": {
                        "name": "content-type",
                        "string_match": {"prefix": "application/grpc"},
                    }
                }
            },
            {
                "header_filter": {
                    "header": {
                        "name": ORIGINAL_PATH,
                        "present_match": True,
                        "invert_match": True,
                    }
                }
            },
        ]
    }
}
IS_WEB: Json = {
    "header_filter": {
        "header": {
            "name": KIND_HEADER,
            "string_match": {"prefix": "application/grpc-web"},
        }
    }
}
NOTHING: Json = {"text_format_source": {"inline_string": ""}}


_REFUSAL: Json = {
    "matcher": {
        "filter": METADATA,
        "path": [{"key": "refusal"}],
        "value": {"present_match": True},
    },
    "match_if_key_not_found": {"value": False},
}


def local_replies() -> Json:
    """Return the mappers of local replies, of which the first that matches applies."""
    # An unknown path is an unknown method for gRPC, and an unknown resource for JSON.
    to_grpc = {**STATUSES, 404: (404, code_pb2.UNIMPLEMENTED)}
    to_json = {**STATUSES, 404: (404, code_pb2.NOT_FOUND)}
    return {
        "mappers": [
            # What the check of JSON requests has to say (json_requests.lua).
            {
                "filter": {"metadata_filter": _REFUSAL},
                "body_format_override": {
                    "text_format_source": {
                        "inline_string": f"%DYNAMIC_METADATA({METADATA}:refusal)%"
                    },
                    "content_type": "application/json",
                },
            },
            # Envoy answers 429 for the rate limit only.
            *_retry_later(_status_is(429), "too many calls: slow down"),
            *_retry_later(TOO_MANY, "too many calls at once"),
            *_for_grpc(NO_KEYS, 503, _status_headers(code_pb2.UNAVAILABLE, WORDS[503]), WORDS[503]),
            _for_json(NO_KEYS, 503, _plain(code_pb2.UNAVAILABLE)),
            *(
                mapper
                for found, (status, code) in to_grpc.items()
                for mapper in _for_grpc(
                    _status_is(found), status, _status_headers(code, WORDS[found]), WORDS[found]
                )
            ),
            *(
                _for_json(_status_is(found), status, _plain(code))
                for found, (status, code) in to_json.items()
            ),
        ]
    }


def _retry_later(which: Json, message: str) -> list[Json]:
    """Map refusals that are temporary to RESOURCE_EXHAUSTED with the time to retry after."""
    status = status_of(ResourceExhausted(message, RETRY_AFTER_SECONDS))
    details = base64.b64encode(status.SerializeToString()).decode()
    retry_after = {"retry-after": str(RETRY_AFTER_SECONDS)}
    headers = {"grpc-status": str(status.code), "grpc-status-details-bin": details} | retry_after
    mappers = [
        *_for_grpc(which, 429, headers, message),
        _for_json(which, 429, json_format.MessageToDict(status), retry_after),
    ]
    return [mapper | {"body": {"inline_string": message}} for mapper in mappers]


def _status(code: int, message: str) -> status_pb2.Status:
    """Return the status of a refusal, with its details: what cannot be reached is there again
    soon."""
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=code_pb2.Code.Name(code), domain=ERROR_DOMAIN)
    ]
    if code == code_pb2.UNAVAILABLE:
        delay = duration_pb2.Duration(seconds=RETRY_AFTER_SECONDS)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    status = status_pb2.Status(code=code, message=message)
    for detail in details:
        status.details.add().Pack(detail)
    return status


def _status_headers(code: int, message: str) -> dict[str, str]:
    details = base64.b64encode(_status(code, message).SerializeToString()).decode()
    return {"grpc-status": str(code), "grpc-status-details-bin": details}


def _plain(code: int) -> Json:
    answer: Json = json_format.MessageToDict(_status(code, "%LOCAL_REPLY_BODY%"))
    return answer


def _for_grpc(which: Json, status: int, headers: dict[str, str], words: str) -> list[Json]:
    in_headers = {"content-type": "application/grpc-web+proto", "grpc-message": words}
    return [
        {
            "filter": {"and_filter": {"filters": [which, IS_WEB]}},
            "status_code": 200,
            "headers_to_add": _headers(headers | in_headers),
            "body_format_override": NOTHING,
        },
        {
            "filter": {"and_filter": {"filters": [which, IS_GRPC]}},
            "status_code": status,
            "headers_to_add": _headers(headers),
        },
    ]


def _for_json(
    which: Json, status: int, answer: Json, headers: dict[str, str] | None = None
) -> Json:
    return {
        "filter": which,
        "status_code": status,
        "headers_to_add": _headers(headers or {}),
        "body_format_override": {"json_format": answer},
    }


def _headers(headers: dict[str, str]) -> list[Json]:
    return [
        {
            "header": {"key": key, "value": value},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }
        for key, value in headers.items()
    ]


def _status_is(status: int) -> Json:
    return {
        "status_code_filter": {
            "comparison": {
                "op": "EQ",
                "value": {"default_value": status, "runtime_key": "qagazsyz.unused"},
            }
        }
    }
