"""GET /square/12 answers {"number": 12, "square": 144}; the port comes from $PORT."""
import json
import os
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = re.fullmatch(r"/square/(-?\d{1,18})", self.path)
        if found:
            number = int(found[1])
            self.answer(200, {"number": number, "square": number * number})
        elif self.path == "/":
            self.answer(200, {"usage": "/square/<number>"})
        else:
            self.answer(404, {"error": f"no such page: {self.path}"})

    def answer(self, status: int, value: dict[str, object]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler)
print(f"listening on port {server.server_port}", flush=True)
server.serve_forever()
