"""Call Verify and BatchVerify through the gateway, by locust.

locust's model is closed: each user waits for its response. Here each user starts a call a second,
so that the offered load is the number of users while responses take less than a second; above that
the load is lower, and percentiles leave out the calls that were never made (coordinated omission).
verification.js has an open model, without this limit.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import gevent  # type: ignore[import-untyped]
import grpc
import grpc.experimental.gevent
from locust import User, constant_throughput, task  # type: ignore[import-not-found]

# Without gevent's support, gRPC blocks all users while one waits.
grpc.experimental.gevent.init_gevent()

PAYLOADS = Path(os.environ["PAYLOADS"])
METADATA = tuple(json.loads((PAYLOADS / "metadata.json").read_text()).items())
TIMEOUT_SECONDS = 30.0


def _requests(name: str) -> Iterator[bytes]:
    return itertools.cycle([path.read_bytes() for path in sorted((PAYLOADS / name).glob("*.bin"))])


class _Caller(User):  # type: ignore[misc]  # locust is in an environment of its own
    """Makes a call a second on a connection of its own. locust --host is the gateway, HOST:PORT."""

    abstract = True
    wait_time = constant_throughput(1)

    def on_start(self) -> None:
        alone = [("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.insecure_channel(self.host, options=alone)
        # Spread users out over the second, who would else all call at the same moment.
        gevent.sleep(random.random())

    def on_stop(self) -> None:
        self.channel.close()

    def send(self, method: str, request: bytes) -> None:
        began, response, failure = time.perf_counter(), b"", None
        try:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(method)
            response = call(request, metadata=METADATA, timeout=TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            # Named by the code, because locust counts failures by their text.
            failure = RuntimeError(error.code().name)
        self.environment.events.request.fire(
            request_type="gRPC",
            name=method.rpartition("/")[2],
            response_time=(time.perf_counter() - began) * 1_000,
            response_length=len(response),
            exception=failure,
        )


class VerifyUser(_Caller):
    """Verifies one signature a call: nine users of ten."""

    weight = 9
    requests = _requests("verify")

    @task  # type: ignore[untyped-decorator]
    def verify(self) -> None:
        self.send("/qagazsyz.signing.v1.VerificationService/Verify", next(self.requests))


class BatchVerifyUser(_Caller):
    """Verifies many signatures a call: one user of ten."""

    requests = _requests("batch-verify")

    @task  # type: ignore[untyped-decorator]
    def batch_verify(self) -> None:
        self.send("/qagazsyz.signing.v1.VerificationService/BatchVerify", next(self.requests))
