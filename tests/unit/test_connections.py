"""How an endpoint is reached: proxies, certificates, and what is said of a trouble."""

import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from seedbed.engines import EngineJob, Request, load_engine
from seedbed.engines.connections import proxy
from seedbed.engines.openai_engine import EndpointError

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("environment", "url", "found"),
    [
        ({}, "https://api.example.org/v1", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://api.example.org/v1", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://api.example.org/v1", None),
        ({"ALL_PROXY": "http://p:1"}, "http://api.example.org/v1", "http://p:1"),
        ({"ALL_PROXY": "http://p:1", "https_proxy": "http://q:2"}, "https://a.org", "http://q:2"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "example.org"}, "https://api.example.org", None),
        ({"HTTP_PROXY": "http://p:1", "no_proxy": "10.0.0.0/8,x"}, "http://10.1.2.3:8000/v1", None),
        ({"HTTP_PROXY": "http://p:1", "no_proxy": "10.0.0.0/8"}, "http://11.1.2.3/v1",
         "http://p:1"),
        ({"HTTP_PROXY": "http://p:1", "no_proxy": "*"}, "http://11.1.2.3/v1", None),
    ],
)  # fmt: skip
def test_proxies_of_the_environment(monkeypatch, environment, url, found):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy(url) == found


class Answer(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        content = b'{"choices": [{"message": {"content": "3"}, "finish_reason": "stop"}]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """The address of a server with a certificate that nobody signed, and the certificate."""
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", folder / "key.pem", "-out", folder / "certificate.pem"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    server = HTTPServer(("127.0.0.1", 0), Answer)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}/v1", folder / "certificate.pem"
    server.shutdown()
    server.server_close()


def ask(url):
    engine = load_engine(None, EngineJob.of("openai", base_url=url, model="m", concurrency=1))
    return [answer.text for answer in engine.complete([Request("k", (("user", "?"),), 9)])]


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_certificates_of_the_environment_are_trusted_and_others_named(secure, monkeypatch, name):
    url, certificate = secure
    with pytest.raises(EndpointError, match=r"certificate that is not trusted.*SSL_CERT_FILE"):
        ask(url)
    monkeypatch.setenv(name, str(certificate))
    assert ask(url) == ["3"]
    monkeypatch.setenv(name, str(certificate.with_name("none.pem")))
    with pytest.raises(EndpointError, match=f"certificates of {name}="):
        ask(url)
