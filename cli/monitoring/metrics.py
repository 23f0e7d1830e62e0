"""Metrics of watched logs in Prometheus' text format, by HTTP at /metrics."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from cli.errors import Failure
from cli.monitoring.watch import Seen

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# One scraper at a time; one that sends nothing gives its turn to the next.
REQUEST_SECONDS = 5


def exposition(logs: Mapping[str, Seen]) -> str:
    """Return the metrics of logs, by their origins."""

    def each(value: Callable[[Seen], float]) -> Iterable[tuple[str, float]]:
        return [(_labels(log=origin), value(seen)) for origin, seen in logs.items()]

    lines: list[str] = []

    def add(name: str, kind: str, text: str, samples: Iterable[tuple[str, float]]) -> None:
        lines.extend((f"# HELP {name} {text}", f"# TYPE {name} {kind}"))
        lines.extend(f"{name}{labels} {value:.15g}" for labels, value in samples)

    add(
        "qagazsyz_log_alarm", "gauge",
        "1 if the log contradicts itself, or nothing could be proved of it for too long.",
        each(lambda seen: float(bool(seen.alarm))),
    )  # fmt: skip
    add(
        "qagazsyz_log_tree_size", "gauge", "Entries of the newest accepted checkpoint.",
        each(lambda seen: seen.tree_size),
    )  # fmt: skip
    add(
        "qagazsyz_log_consistent_timestamp_seconds", "gauge",
        "When every vantage point last showed one history.",
        each(lambda seen: seen.consistent_time),
    )  # fmt: skip
    add(
        "qagazsyz_log_looks_total", "counter", "Looks at the log, by what they found.",
        [
            (_labels(log=origin, found=found), getattr(seen, found))
            for origin, seen in logs.items()
            for found in ("consistent", "not_reached", "suspicious")
        ],
    )  # fmt: skip
    add(
        "qagazsyz_log_cosigned_tree_size", "gauge", "Entries of the newest cosigned checkpoint.",
        each(lambda seen: seen.cosigned_size),
    )  # fmt: skip
    add(
        "qagazsyz_log_cosigned_timestamp_seconds", "gauge", "A witness' newest cosignature.",
        [
            (_labels(log=origin, witness=witness), time)
            for origin, seen in logs.items()
            for witness, time in seen.cosigned_times.items()
        ],
    )  # fmt: skip
    return "\n".join(lines) + "\n"


@contextmanager
def serving_metrics(address: str, logs: Mapping[str, Seen]) -> Iterator[str]:
    """Serve the metrics at "HOST:PORT" beside the block; yield their URL. Raises Failure."""

    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_SECONDS

        def do_GET(self) -> None:
            is_found = self.path == "/metrics"
            body = exposition(logs).encode() if is_found else b""
            self.send_response(200 if is_found else 404)
            self.send_header("content-type", CONTENT_TYPE)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log no scrapes."""

    host, _, port = address.rpartition(":")
    try:
        server = HTTPServer((host.strip("[]"), int(port)), Handler)
    except (OSError, ValueError, OverflowError) as error:
        raise Failure(f"metrics cannot be served at {address!r}: {error}") from None
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _labels(**values: str) -> str:
    def escaped(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    return "{" + ",".join(f'{name}="{escaped(value)}"' for name, value in values.items()) + "}"
