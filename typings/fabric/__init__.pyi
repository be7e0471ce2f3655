from collections.abc import Mapping
from typing import Any

from paramiko import SFTPClient, SSHClient, Transport

class Connection:
    client: SSHClient
    transport: Transport
    user: str
    host: str
    port: int
    connect_kwargs: dict[str, Any]
    def __init__(
        self,
        host: str,
        user: str | None = ...,
        port: int | None = ...,
        connect_timeout: int | None = ...,
        connect_kwargs: Mapping[str, Any] | None = ...,
    ) -> None: ...
    @property
    def is_connected(self) -> bool: ...
    def open(self) -> None: ...
    def close(self) -> None: ...
    def sftp(self) -> SFTPClient: ...
