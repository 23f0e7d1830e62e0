"""Generates the gRPC stubs, their types and the descriptor set from ../protos.

A hatch build hook, so that installing the client makes its stubs; run as a
script it does the same in place, for whoever has just changed a contract.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PACKAGE = HERE / "qagazsyz"
DOMAINS = ("common", "identity", "messaging", "registry", "requests", "signing")


def contracts_folder() -> Path:
    """Where the .proto files are: beside the client, or inside its source distribution."""
    for folder in (HERE.parent / "protos", HERE / "protos"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError("no protos/ folder beside or inside the client")


def compile_contracts(protos: Path, *outputs: str) -> None:
    """Runs protoc over all contracts in a folder with these outputs."""
    import google.api
    from grpc_tools import protoc

    googleapis = Path(next(iter(google.api.__path__))).parent.parent
    sources = sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto"))
    status = protoc.main(
        [
            "protoc",
            f"-I{protos}",
            f"-I{googleapis}",
            f"-I{files('grpc_tools').joinpath('_proto')}",
            *outputs,
            *sources,
            # Without it the gateway cannot convert the details of an error.
            "google/rpc/error_details.proto",
        ]
    )
    if status:
        raise RuntimeError(f"protoc ended with {status}")


def descriptor_set(path: Path) -> tuple[str, ...]:
    """protoc's options for a descriptor set with everything that is imported."""
    return ("--include_imports", "--include_source_info", f"--descriptor_set_out={path}")


def generate() -> None:
    """Writes *_pb2.py, *_pb2.pyi, *_pb2_grpc.py(i) and contracts.desc into the package."""
    plugin = Path(sys.executable).parent / "protoc-gen-mypy_grpc"
    found = str(plugin) if plugin.exists() else shutil.which("protoc-gen-mypy_grpc")
    if found is None:
        raise FileNotFoundError("protoc-gen-mypy_grpc (of mypy-protobuf) is not installed")
    # Made aside and put in place when it is whole: somebody may be importing the old ones.
    with tempfile.TemporaryDirectory(dir=HERE) as folder:
        made = Path(folder)
        compile_contracts(
            contracts_folder(),
            f"--plugin=protoc-gen-mypy_grpc={found}",
            f"--python_out={made}",
            f"--pyi_out={made}",
            f"--grpc_python_out={made}",
            f"--mypy_grpc_out=quiet:{made}",
            *descriptor_set(made / "contracts.desc"),
        )
        (made / "contracts.desc").replace(PACKAGE / "contracts.desc")
        for domain in DOMAINS:
            package = made / "qagazsyz" / domain
            for part in (package, package / "v1"):
                (part / "__init__.py").touch()
            if (PACKAGE / domain).exists():
                (PACKAGE / domain).rename(made / f"old-{domain}")
            package.rename(PACKAGE / domain)


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a script where only grpcio-tools is installed
    pass
else:

    class StubHook(BuildHookInterface[Any]):
        """Generates before every build, editable ones included."""

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
            generate()


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            generate()
        case ["--descriptors", folder, output]:
            compile_contracts(Path(folder), *descriptor_set(Path(output)))
        case _:
            sys.exit("usage: generate_stubs.py [--descriptors PROTOS OUTPUT]")
