"""The judges: programs of others, in pinned versions, that say whether what we do is right.

Each is installed into a folder of its own under .setup, from registries by their own clients. A
judge that cannot be had is left out; bytes that are not those that were pinned are an error.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
FOLDER = REPOSITORY / ".setup" / "judges"
# Written last, with the digest of what was installed from.
STAMP = "installed"
# How npm, Go and Maven say that bytes are others than those pinned.
ALTERED = re.compile(
    rb"EINTEGRITY|checksum mismatch|SECURITY ERROR|computed checksum|Checksum validation failed"
)
LAST_LINE_CHARACTERS = 200


class LeftOutError(Exception):
    """The judge cannot be had here; the message says why."""


class AlteredError(Exception):
    """What came is not what was pinned."""


@dataclass(frozen=True)
class Shell:
    """Runs the commands of one installation, in one folder, until a deadline."""

    folder: Path
    # Of time.monotonic, in seconds.
    deadline: float
    environment: Mapping[str, str] = field(default_factory=dict)

    def fetch(self, *command: str) -> None:
        """Run a command that needs a registry.

        Raises LeftOutError if it fails or takes too long, AlteredError if a checksum differs.
        """
        code, output = run(command, self.folder, self.deadline, self.environment)
        if ALTERED.search(output):
            raise AlteredError(output.decode(errors="replace"))
        if code is None:
            raise LeftOutError(f"{command[0]} took too long")
        if code:
            lines = output.decode(errors="replace").strip().splitlines() or [""]
            raise LeftOutError(f"{command[0]} failed: {lines[-1][:LAST_LINE_CHARACTERS]}")

    def build(self, *command: str) -> None:
        """Run a command that needs no registry. Raises CalledProcessError or TimeoutError."""
        code, output = run(command, self.folder, self.deadline, self.environment)
        if code is None:
            raise TimeoutError(command)
        if code:
            print(output.decode(errors="replace"))
            raise subprocess.CalledProcessError(code, command)


def run(
    command: tuple[str, ...],
    folder: Path,
    deadline: float,
    environment: Mapping[str, str],
    *,
    is_shown: bool = False,
) -> tuple[int | None, bytes]:
    """Return the exit code and, unless it is shown, the output.

    The code is None if it was ended at the deadline, with all processes that it had started.
    """
    output = None if is_shown else subprocess.PIPE
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=None if is_shown else subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        read, _ = process.communicate(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        read, _ = process.communicate()
        return None, read or b""
    return process.returncode, read or b""


def install_node(shell: Shell) -> None:
    shutil.copy(HERE / "node" / "package.json", shell.folder)
    shutil.copy(HERE / "node" / "package-lock.json", shell.folder)
    shell.fetch("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")


def install_java(shell: Shell) -> None:
    shutil.copy(HERE / "java" / "pom.xml", shell.folder)
    jars = shell.folder / "jars"
    # -C: the repository's own checksums must hold as well.
    shell.fetch(
        "mvn", "-q", "-B", "-C", "dependency:copy-dependencies", f"-DoutputDirectory={jars}"
    )
    found = "".join(
        f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}\n"
        for jar in sorted(jars.iterdir())
    )
    if found != (HERE / "java" / "jars.sha256").read_text():
        raise AlteredError(f"jars.sha256 has others than came:\n{found}")
    shell.build("javac", "-d", ".", "-cp", f"{jars}/*", str(HERE / "java" / "Smsc.java"))


def install_go(shell: Shell) -> None:
    for name in ("go.mod", "go.sum"):
        shutil.copy(HERE / "go" / name, shell.folder)
    shell.fetch("go", "mod", "download")
    shell.build("go", "build", "-o", ".", "github.com/transparency-dev/tessera/cmd/fsck")


def install_containers(shell: Shell) -> None:
    """Raises LeftOutError where docker has no compose, of which nothing is installed."""
    try:
        shell.fetch("docker", "compose", "version")
    except LeftOutError:
        raise LeftOutError("docker has no compose, and Debian's is the first version") from None


@dataclass(frozen=True)
class Judge:
    """A kind of judges, which the tests with its mark need."""

    mark: str
    # Programs that must be there, and the packages of Debian that bring them; None: none does.
    programs: Mapping[str, str | None]
    install: Callable[[Shell], None]
    # For installing and for all its tests together; all judges' come to less than 50.
    minutes: int
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where it is installed."""
        return FOLDER / self.mark

    def digest(self) -> str:
        """Return a digest of all that it is installed from."""
        found = hashlib.sha256((HERE / "judges.py").read_bytes())
        folder = HERE / self.mark
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            found.update(path.name.encode() + b"\0" + path.read_bytes())
        return found.hexdigest()

    def is_installed(self) -> bool:
        stamp = self.folder / STAMP
        return stamp.exists() and stamp.read_text() == self.digest()

    def ensure(self, deadline: float) -> None:
        """Install it, unless it is. Raises what Shell does."""
        self._ensure_programs(deadline)
        if self.is_installed():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.install(Shell(self.folder, deadline, self.environment))
        (self.folder / STAMP).write_text(self.digest())

    def _ensure_programs(self, deadline: float) -> None:
        missing = {name: self.programs[name] for name in self.programs if not shutil.which(name)}
        if not missing:
            return
        packages = [package for package in missing.values() if package]
        if len(packages) < len(missing) or not shutil.which("apt-get") or os.geteuid() != 0:
            raise LeftOutError(f"there is no {', '.join(missing)}")
        shell = Shell(REPOSITORY, deadline, {"DEBIAN_FRONTEND": "noninteractive"})
        shell.fetch("apt-get", "update", "-qq")
        shell.fetch("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)


# One after the other, and all within 12 GiB: heaps are bounded, and a build compiles two at a time.
JUDGES = (
    Judge(
        "node",
        {"node": "nodejs", "npm": "npm"},
        install_node,
        minutes=8,
    ),
    Judge(
        "java",
        {"mvn": "maven", "javac": "openjdk-17-jdk-headless", "java": "openjdk-17-jdk-headless"},
        install_java,
        minutes=12,
        environment={"MAVEN_OPTS": "-Xmx512m"},
    ),
    Judge(
        "go",
        # Debian's is older than what the modules ask for.
        {"go": None},
        install_go,
        minutes=12,
        environment={"GOFLAGS": "-mod=readonly -p=2", "GOTOOLCHAIN": "local", "GOMEMLIMIT": "2GiB"},
    ),
    Judge(
        "containers",
        {"docker": None},
        install_containers,
        minutes=3,
    ),
)
