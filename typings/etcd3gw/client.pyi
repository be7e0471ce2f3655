from typing import Any

import requests

class Etcd3Client:
    session: requests.Session
    timeout: float
    def __init__(
        self, host: str, port: int, protocol: str, timeout: float, session: requests.Session
    ) -> None: ...
    def get_url(self, path: str) -> str: ...
    def post(self, url: str, *, json: dict[str, Any]) -> dict[str, Any]: ...
