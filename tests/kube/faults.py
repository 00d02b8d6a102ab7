"""A proxy between the agent and the API server that misbehaves on demand. TLS ends here; the API server's own certificate is shown."""
import http.client
import http.server
import json
import socket
import ssl
import threading

from link_parts import free_port


def status(code, reason, message, **details):
    return code, json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code,
                             **details}).encode()


class Proxy:
    """rule(method, path) -> None (pass on), "cut", or (code, body[, headers]); asked for each request.
    each_event(path) -> bytes to say instead of the next piece of a watch, or None."""

    def __init__(self, cluster):
        self.rule, self.each_event = lambda method, path: None, lambda path: None
        self.seen, self.streams, self.lock = [], set(), threading.Lock()
        self.expired = set()  # tokens that the server takes for too old
        self.port = free_port()
        proxy, upstream = self, ssl.create_default_context(cadata=(cluster.dir / "ca.crt").read_text())

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *words):
                pass

            def answer(self, code, body, headers=()):
                self.send_response(code)
                for k, v in headers:
                    self.send_header(k, v)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with proxy.lock:
                    proxy.seen.append((self.command, self.path))
                what = proxy.rule(self.command, self.path)
                if self.headers.get("Authorization", "").removeprefix("Bearer ") in proxy.expired:
                    what = status(401, "Unauthorized", "Unauthorized")
                if what == "cut":
                    self.close_connection = True
                    return
                if what:
                    self.answer(*what)
                    return
                try:
                    c = http.client.HTTPSConnection("127.0.0.1", cluster.port, context=upstream, timeout=600)
                    headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "content-length")}
                    c.request(self.command, self.path, body or None, headers)
                    r = c.getresponse()
                except OSError:
                    self.close_connection = True
                    return
                if "watch=1" in self.path and r.status == 200:
                    self.stream(c, r)
                else:
                    self.answer(r.status, r.read())
                c.close()

            def stream(self, c, r):
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                with proxy.lock:
                    proxy.streams.add(c)
                try:
                    while True:
                        line = r.readline()
                        if not line:
                            break
                        line = proxy.each_event(self.path) or line
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                        self.wfile.flush()
                    self.wfile.write(b"0\r\n\r\n")
                except (OSError, http.client.HTTPException, ValueError, AttributeError):
                    self.close_connection = True
                finally:
                    with proxy.lock:
                        proxy.streams.discard(c)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 100

            def handle_error(self, *words):
                pass

        self.server = Server(("127.0.0.1", self.port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cluster.dir / "server.crt", cluster.dir / "server.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def cut_streams(self):
        with self.lock:
            streams = list(self.streams)
        for c in streams:
            try:
                if c.sock:
                    c.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        return len(streams)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
