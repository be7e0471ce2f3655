from typing import Any

SIGINT: int
SIGTERM: int
SIGPIPE: int
SIG_DFL: Any
SIG_IGN: Any

def signal(number: int, handler: Any) -> Any: ...
