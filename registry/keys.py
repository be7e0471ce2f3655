"""The keys of everything that nap has in etcd."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Keys:
    """The keys of one home: `prefix` is its short id, "" for the default home."""

    prefix: str = ""

    @property
    def root(self) -> str:
        return f"/{self.prefix}" if self.prefix else ""

    @property
    def announced(self) -> str:
        """The folder of everything that nodes announce: slaves and services."""
        return f"{self.root}/services"

    def slaves(self, app: str) -> str:
        """Return the folder of an app's slaves, which contains nothing else."""
        return f"{self.announced}/mpi/{app}/slaves"

    def slave(self, app: str, index: int) -> str:
        return f"{self.slaves(app)}/{slave_name(index)}"

    def services(self, process: str, app: str) -> str:
        return f"{self.announced}/{process}/{app}"

    def service(self, process: str, app: str, unit: str) -> str:
        return f"{self.services(process, app)}/{unit}"

    @property
    def apps(self) -> str:
        return f"{self.root}/nap/apps"

    def app(self, app: str) -> str:
        return f"{self.apps}/{app}"

    def runs(self, app: str) -> str:
        return f"{self.root}/nap/runs/{app}"

    def run(self, app: str, run: int) -> str:
        return f"{self.runs(app)}/{run}"

    @property
    def nodes(self) -> str:
        return f"{self.root}/nap/nodes"

    def node(self, node: str) -> str:
        return f"{self.nodes}/{node}"


def slave_name(index: int) -> str:
    """Return a slave's name. They count from 1: the master runs on `slave1`."""
    return f"slave{index}"
