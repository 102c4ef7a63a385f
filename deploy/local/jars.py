"""Java and the jars: found on this machine, or fetched once through Maven into a cache that all checkouts share."""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deploy.local.processes import StackError

KAFKA_VERSION = "4.3.1"
JAVA_AT_LEAST = 17  # Kafka 4 brokers run on 17 and later

# The newest that Debian 12's Maven 3.8 runs; pinned so that every machine fetches in the same way.
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"

# The first fetch takes 20 s on a quick line; a slow one may need minutes.
_FETCH_TIMEOUT_S = 900

INSTALL = "sudo apt-get install --yes default-jre-headless maven redis-server"


def java() -> str:
    """Return the path of a Java that can run Kafka.

    Raises
    ------
    StackError
        when there is none, or it is too old
    """
    home = os.environ.get("JAVA_HOME")
    path = shutil.which("java", path=f"{home}/bin" if home else None) or shutil.which("java")
    if path is None:
        raise StackError(
            f"Java is missing: Apache Kafka needs Java {JAVA_AT_LEAST} or later. Install it with\n  {INSTALL}\n"
            "or set SADA_KAFKA to the address of a Kafka of your own."
        )
    shown = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', shown)
    if version is None or int(version[1]) < JAVA_AT_LEAST:
        raise StackError(f"{path} is too old: Apache Kafka needs Java {JAVA_AT_LEAST} or later. It says:\n{shown}")
    return path


def cache_folder(fallback: Path) -> Path:
    """Return the folder where fetched jars are kept: the user's cache, or ``fallback`` where that is not writable."""
    shared = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sada"
    try:
        shared.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=shared):
            return shared
    except OSError:
        fallback.mkdir(parents=True, exist_ok=True)
        return fallback


def kafka_jars(cache: Path) -> Path:
    """Return the folder of Kafka's jars, fetched on first use."""
    return fetched(Path(__file__).with_name("pom.xml"), cache, f"kafka-{KAFKA_VERSION}")


def fetched(pom: Path, cache: Path, name: str, *, unpacked: bool = False) -> Path:
    """Return the folder with a pom's dependencies; Maven fetches them when they are not in the cache.

    With ``unpacked`` the dependencies are archives, and the folder holds what is in them.
    A folder appears whole or not at all: it is filled under another name and renamed. A changed pom is another folder.

    Raises
    ------
    StackError
        when Maven is missing or fails
    """
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:8]
    folder = cache / f"{name}-{digest}"
    if folder.is_dir():
        return folder
    with _locked(cache / f"{name}.lock"):
        if folder.is_dir():  # another process fetched it while we waited
            return folder
        with tempfile.TemporaryDirectory(dir=cache, prefix=f"{name}-") as scratch:
            copied = Path(scratch) / "copied"
            _run_maven(pom, copied, goal="unpack-dependencies" if unpacked else "copy-dependencies")
            if not copied.is_dir() or not any(copied.iterdir()):
                raise StackError(f"Maven says it fetched the dependencies of {pom}, but {copied} is empty.")
            copied.rename(folder)
    return folder


def _run_maven(pom: Path, into: Path, *, goal: str) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise StackError(f"Maven is missing: it fetches what runs on Java. Install it with\n  {INSTALL}")
    command = [maven, "--batch-mode", "--quiet", "--strict-checksums", f"--file={pom}"]
    command += [f"{_PLUGIN}:{goal}", f"-DoutputDirectory={into}"]
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_FETCH_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise StackError(f"Maven did not finish within {_FETCH_TIMEOUT_S} s: {' '.join(command)}") from None
    if result.returncode != 0:
        raise StackError(f"Maven could not fetch the dependencies of {pom}; it said:\n{result.stdout[-4000:]}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    java()
    kafka_jars(cache_folder(Path("var/cache")))
