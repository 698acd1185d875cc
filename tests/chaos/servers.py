"""A PostgreSQL and a Redis of a run's own: on free ports, in its folder, and ended by their process ids."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
import redis

from project.demo import tied

_PATIENCE = 30.0


def free_port() -> int:
    """Return a port of the loopback that nobody uses just now."""
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
        return port


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [pid]
    for one in found:
        with suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def signal_all(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to those of these processes that still live."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@contextmanager
def frozen(pids: list[int]) -> Iterator[None]:
    """Freeze processes for the block. Whoever is killed in it leaves none behind.

    What is frozen does not hear that its starter is gone, so a shell lets it go on when our pipe closes.
    """
    command = ["/bin/sh", "-c", 'cat; kill -CONT "$@"', "thaw", *map(str, pids)]
    null = subprocess.DEVNULL
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=null, stderr=null, start_new_session=True
    ) as waiting:
        signal_all(pids, signal.SIGSTOP)
        try:
            yield
        finally:
            signal_all(pids, signal.SIGCONT)
            waiting.communicate()


class Server:
    """Hold one server process; `command` starts it, `answers` says whether it is ready."""

    def __init__(self, command: list[str], *, log: Path, answers: Callable[[], bool], user: str = "") -> None:
        self._command, self._log, self._answers, self._user = command, log, answers, user
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, tied.__file__, str(os.getpid()), *_as_user(self._user), *self._command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        ends = time.monotonic() + _PATIENCE
        while not self._answers():
            if time.monotonic() > ends or self._process.poll() is not None:
                raise RuntimeError(f"{self._command[0]} did not start; {self._log} says why.")
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        """Return its process id. Raises RuntimeError where it was never started."""
        if self._process is None:
            raise RuntimeError(f"{self._command[0]} was not started.")
        return self._process.pid

    def kill(self) -> None:
        """End it and all its children as a power cut does."""
        if self._process is not None:
            # Frozen first, so that nothing new is forked while the family is ended.
            self._signal(signal.SIGSTOP)
            signal_all(family(self._process.pid), signal.SIGKILL)
            self._process.wait(timeout=_PATIENCE)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it neither work nor refuse in the block."""
        with frozen(family(self._process.pid) if self._process is not None else []):
            yield

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            signal_all(family(self._process.pid), number)


@contextmanager
def postgresql(folder: Path) -> Iterator[tuple[Server, str]]:
    """Run an empty PostgreSQL; give it and its address. As root it becomes an unprivileged user."""
    folder.mkdir()
    user = "postgres" if os.geteuid() == 0 else ""
    if user:
        known = pwd.getpwnam(user)
        os.chown(folder, known.pw_uid, known.pw_gid)
    data, programs, port = folder / "data", _postgresql_programs(), free_port()
    subprocess.run(
        [*_as_user(user), programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N"],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    url = f"postgres://postgres@127.0.0.1:{port}/postgres"

    def answers() -> bool:
        with suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=2):
            return True
        return False

    # Without fsync: what is killed here is processes, never the machine, so what was written stays written.
    options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", "port": port}
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    server = Server(
        [str(programs / "postgres"), "-D", str(data), *settings],
        log=folder.with_suffix(".log"),
        answers=answers,
        user=user,
    )
    server.start()
    try:
        yield server, url
    finally:
        server.kill()


@contextmanager
def redis_server(folder: Path) -> Iterator[tuple[Server, str]]:
    """Run a Redis that remembers nothing over a restart; give it and its address."""
    folder.mkdir()
    program, port = shutil.which("redis-server"), free_port()
    if program is None:
        raise RuntimeError("This run starts a Redis of its own: install redis-server.")
    client = redis.Redis(port=port, socket_timeout=2)

    def answers() -> bool:
        with suppress(redis.RedisError):
            return bool(client.ping())
        return False

    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    server = Server(command, log=folder.with_suffix(".log"), answers=answers)
    server.start()
    try:
        yield server, f"redis://127.0.0.1:{port}/0"
    finally:
        client.close()
        server.kill()


def _postgresql_programs() -> Path:
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        raise RuntimeError("This run starts a PostgreSQL of its own: install postgresql.")
    return folders[-1]


def _as_user(user: str) -> list[str]:
    # Not runuser or su: they stay in between as a parent, and the id is to be the server's own. The tie to
    # its starter is lost with the identity, so it is made again.
    program = shutil.which("setpriv") or "setpriv"
    return (
        [program, f"--reuid={user}", f"--regid={user}", "--clear-groups", "--pdeathsig=TERM"] if user else []
    )
