"""`put_parameter` typed with the real AWS CLI against a store on loopback: what comes back is what stood, to the last byte."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from receiver.core.prepared import prepare
from tests.fakes.prepared import subject, typed

AWS = shutil.which("aws")
pytestmark = [pytest.mark.e2e, pytest.mark.skipif(AWS is None, reason="the AWS CLI is not on this machine")]
KEYS = (
    "AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true"
    " AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=eu-west-1"
)


@contextmanager
def ssm(store: dict[str, str]) -> Iterator[int]:
    """GetParameter and PutParameter of Systems Manager, as far as the line asks."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found: dict[str, object] = {}
            if self.headers["X-Amz-Target"].endswith("PutParameter"):
                assert asked["Overwrite"] is True
                store[asked["Name"]] = asked["Value"]
                found = {"Version": 2}
            else:
                found = {"Parameter": {"Name": asked["Name"], "Type": "String", "Value": store[asked["Name"]]}}
            body = json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    "old,new",
    [
        ("line1\né\"'\\\n\n", "file:///etc/hostname"),
        ("file:///etc/hostname\n", "http://127.0.0.1:1/"),
    ],
)
def test_a_parameter_is_set_as_it_is_said_and_comes_back_as_it_was(tmp_path: Path, old: str, new: str) -> None:
    store = {"/app/DB_HOST": old}
    prepared = prepare("put_parameter", subject(given={"parameter_value": new}))
    with ssm(store) as port:
        programs = {"aws": f"""exec env -u AWS_PROFILE {KEYS} '{AWS}' --endpoint-url http://127.0.0.1:{port} "$@" """}
        done = typed(prepared.commands[0], tmp_path, programs)
        assert (done.returncode, store) == (0, {"/app/DB_HOST": new}), done.stderr
        back = typed(prepared.reverse[0], tmp_path, programs)
        assert (back.returncode, store) == (0, {"/app/DB_HOST": old}), back.stderr
