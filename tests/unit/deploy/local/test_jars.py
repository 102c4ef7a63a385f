"""Java and jars where they are missing, too old, broken, or already there."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import jars, redis
from deploy.local.processes import StackError

POM = Path(jars.__file__).with_name("pom.xml")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_missing_java_names_the_command_to_install_it(programs: Path) -> None:
    with pytest.raises(StackError, match=r"Java is missing(?s:.*)default-jre-headless(?s:.*)SADA_KAFKA"):
        jars.java()


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.2", "16", "?"])
def test_old_java_is_refused(programs: Path, version: str) -> None:
    program(programs, "java", f"echo 'openjdk version \"{version}\"' >&2")
    with pytest.raises(StackError, match="too old: Apache Kafka needs Java 17 or later"):
        jars.java()


@pytest.mark.parametrize("version", ["17.0.15", "21", "25-ea"])
def test_new_java_is_taken(programs: Path, version: str) -> None:
    program(programs, "java", f"echo 'openjdk version \"{version}\"' >&2")
    assert jars.java() == str(programs / "java")


def test_java_home_comes_first(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home" / "bin"
    home.mkdir(parents=True)
    for folder in (programs, home):
        program(folder, "java", "echo 'openjdk version \"21\"' >&2")
    monkeypatch.setenv("JAVA_HOME", str(home.parent))
    assert jars.java() == str(home / "java")


def test_missing_maven_names_the_command_to_install_it(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"Maven is missing(?s:.*)apt-get install.*maven"):
        jars.fetched(POM, tmp_path, "kafka")


def test_maven_failing_shows_what_it_said_and_leaves_no_folder(programs: Path, tmp_path: Path) -> None:
    program(programs, "mvn", "echo could not resolve; exit 1")
    with pytest.raises(StackError, match="could not resolve"):
        jars.fetched(POM, tmp_path, "kafka")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("kafka") and path.is_dir()]


def test_maven_fetching_nothing_is_no_success(programs: Path, tmp_path: Path) -> None:
    """It skips what its own notes say was unpacked before, wherever that was."""
    program(programs, "mvn", "exit 0")
    with pytest.raises(StackError, match="is empty"):
        jars.fetched(POM, tmp_path, "kafka")


def test_a_second_call_runs_no_maven(programs: Path, tmp_path: Path) -> None:
    program(
        programs, "mvn", 'for part; do case $part in -DoutputDirectory=*) /bin/mkdir -p "${part#*=}/jar";; esac; done'
    )
    first = jars.fetched(POM, tmp_path, "kafka")
    (programs / "mvn").unlink()
    assert jars.fetched(POM, tmp_path, "kafka") == first


def test_a_changed_pom_is_another_folder(programs: Path, tmp_path: Path) -> None:
    program(
        programs, "mvn", 'for part; do case $part in -DoutputDirectory=*) /bin/mkdir -p "${part#*=}/jar";; esac; done'
    )
    changed = tmp_path / "pom.xml"
    changed.write_bytes(POM.read_bytes() + b"\n")
    assert jars.fetched(POM, tmp_path, "kafka") != jars.fetched(changed, tmp_path, "kafka")


def test_an_unwritable_cache_falls_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert jars.cache_folder(tmp_path / "var") == tmp_path / "var"


def test_missing_redis_names_the_command_to_install_it(programs: Path, tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"redis-server is missing(?s:.*)apt-get install(?s:.*)SADA_REDIS"):
        redis.server(tmp_path, port=1)


def test_packages_script_prints_the_command_where_it_may_not_install(programs: Path) -> None:
    """Without apt it names the packages; it never tries to become root by asking for a password."""
    script = POM.with_name("packages")
    result = subprocess.run(["/bin/bash", script, "java", "kcat"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "default-jre-headless kcat" in result.stderr
    program(programs, "apt-get", "exit 9")
    program(programs, "id", "echo 1000")
    result = subprocess.run(["/bin/bash", script, "java", "kcat"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "sudo apt-get install --yes --no-install-recommends default-jre-headless kcat" in result.stderr


def test_packages_script_installs_as_root_without_asking(programs: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    program(programs, "id", "echo 0")
    program(
        programs,
        "apt-get",
        f'echo "$DEBIAN_FRONTEND $*" >> {log}; read -r line && echo "input: $line" >> {log}; exit 0',
    )
    (programs / "env").symlink_to("/usr/bin/env")
    script = POM.with_name("packages")
    subprocess.run(["/bin/bash", script, "mvn", "kcat"], input="y\n", text=True, check=True, stdout=subprocess.DEVNULL)
    update, install = log.read_text().splitlines()
    assert update.startswith("noninteractive update")
    assert install.startswith("noninteractive install --yes --no-install-recommends maven kcat")


def test_packages_script_is_silent_when_all_is_there(programs: Path) -> None:
    program(programs, "java", "")
    result = subprocess.run(
        ["/bin/bash", POM.with_name("packages"), "java"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_tether_refuses_to_run_an_orphan() -> None:
    """Between its start and its request to the kernel the parent may have died."""
    tether = POM.with_name("tether.py")
    result = subprocess.run([sys.executable, tether, "1", "/bin/true"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "the parent ended" in result.stderr
