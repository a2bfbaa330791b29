"""A PostgreSQL of Debian's package for tests, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg.sql import SQL, Identifier

from tests.brokers import free_port

ACCOUNT = "postgres"
"""PostgreSQL does not run as root; the package makes this account."""

TEST_FOLDERS = os.environ.get("PYTEST_DEBUG_TEMPROOT")
"""Where pytest makes its own: in memory a new database takes 0.05 s, on a disk 0.3 s."""


def programs() -> Path | None:
    """The folder of the newest installed PostgreSQL's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@dataclass
class Postgresql:
    """One server on a loopback port."""

    bin: Path
    port: int = field(default_factory=free_port)
    durable: bool = False
    """Whether a commit waits for the disk, as in a plant; tests have nothing to lose."""
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        """A folder of its own; on a disk where commits wait for one."""
        where = None if self.durable else TEST_FOLDERS
        self.folder = Path(tempfile.mkdtemp(prefix="patchline-pg-", dir=where))

    def start(self) -> Postgresql:
        """Make its data folder, and start it."""
        if os.getuid() == 0:
            shutil.chown(self.folder, ACCOUNT)
        self._run("initdb", "--username=patchline", "--auth=trust", "--encoding=UTF8", "--no-sync", "-D", self._data)
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} "
            f"-c fsync={'on' if self.durable else 'off'}"
        )
        self._run("pg_ctl", "-D", self._data, "-l", str(self.folder / "log"), "-o", options, "-w", "start")
        return self

    def database(self) -> str:
        """The address of a new, empty database."""
        name = f"t{uuid4().hex[:8]}"
        address = f"patchline@127.0.0.1:{self.port}"
        with psycopg.connect(f"postgresql://{address}/postgres", autocommit=True) as server:
            server.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        return f"postgresql+psycopg://{address}/{name}"

    def stop(self) -> None:
        """End it, and remove its folder."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self.bin / program, *arguments],
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,  # the server would hold the pipe
            cwd=self.folder,
            user=ACCOUNT if os.getuid() == 0 else None,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {(done.stderr or b'').decode()}")
