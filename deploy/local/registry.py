"""A schema registry on this machine, in memory: Apicurio, which speaks Confluent's API. For the wire format's tests."""

from pathlib import Path

from deploy.local import jars
from deploy.local.processes import ProcessSpec, StackError
from deploy.local.topology import says_yes

VERSION = "2.6.13"

_API = "/apis/ccompat/v7"


def server(*, port: int, cache: Path) -> ProcessSpec:
    """Prepare a registry; what it holds ends with it.

    Raises
    ------
    StackError
        when Java or Maven is missing, or the fetch (142 MB) fails
    """
    java = jars.java()
    folder = fetch(cache)
    runner = next(folder.glob("*-runner.jar"), None)
    if runner is None:
        raise StackError(f"{folder} holds no *-runner.jar. Remove it: it is fetched again.")
    return ProcessSpec(
        name="registry",
        args=(java, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", str(runner)),
        env={"QUARKUS_HTTP_HOST": "127.0.0.1", "QUARKUS_HTTP_PORT": str(port)},
        ready=says_yes(port, f"{_API}/subjects"),
        start_timeout_s=90,
    )


def fetch(cache: Path) -> Path:
    """Return the folder of the registry, fetched on first use."""
    pom = Path(__file__).with_name("registry-pom.xml")
    return jars.fetched(pom, cache, f"apicurio-registry-{VERSION}", unpacked=True)


def url(port: int) -> str:
    """Return the root of the registry's Confluent API."""
    return f"http://127.0.0.1:{port}{_API}"


if __name__ == "__main__":
    fetch(jars.cache_folder(Path("var/cache")))
