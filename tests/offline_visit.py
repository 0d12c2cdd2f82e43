"""Run inside a network namespace of its own: serve the app, ask three Sprouts, print answers.

Nothing but this machine's own loopback exists there, so whatever succeeds used no network.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import urllib.request

from gradio_client import Client

_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1


def raise_loopback() -> None:
    """A new namespace has its loopback interface down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _IFF_UP))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(home: str) -> None:
    raise_loopback()
    try:
        urllib.request.urlopen("http://192.0.2.1/", timeout=2)
        sys.exit("the network is not cut off")
    except OSError:
        pass
    port = free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_HUB")}
    server = subprocess.Popen(
        [sys.executable, "-m", "slm_explorer", "serve", "--port", str(port), "--home", home],
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    )
    try:
        assert server.stderr is not None
        for line in server.stderr:
            print(line, end="", file=sys.stderr)
            if str(port) in line:
                break
        client = Client(f"http://127.0.0.1:{port}/", verbose=False)
        answers = [
            client.predict(model=model, prompt="Hello!", api_name="/chat")
            for model in ("sprout-300k", "sprout-1m", "sprout-5m")
        ]
        print(json.dumps(answers))
    finally:
        server.terminate()
        server.wait(30)


if __name__ == "__main__":
    main(sys.argv[1])
