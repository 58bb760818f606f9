"""Run inside a network of its own: the page's command on port 2024, and the tutorial's client against it; `offline.py DOORWARD SETTINGS CLIENT HOME`."""

import fcntl
import os
import socket
import struct
import subprocess
import sys
import time
import urllib.request

doorward, settings, client, home = sys.argv[1:]
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as interface:
    fcntl.ioctl(interface, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))
    try:
        interface.connect(("192.0.2.1", 9))
        sys.exit("there is a route out")
    except OSError:
        pass

server = subprocess.Popen(
    [doorward, "dev", "--listen", "127.0.0.1:0", "--data-dir", f"{home}/data", "--langgraph", settings, "--mount", "langgraph=127.0.0.1:2024"],
    stdout=subprocess.DEVNULL, cwd=home, env={"PATH": os.environ["PATH"], "VIRTUAL_ENV": sys.prefix},
)
try:
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen("http://localhost:2024/ok", timeout=5)
            break
        except OSError:
            if time.monotonic() > deadline or server.poll() is not None:
                raise
            time.sleep(0.02)
    subprocess.run([*client.split("|"), "http://localhost:2024", "user-first", "user-second"], check=True, timeout=60)
finally:
    server.terminate()
    server.wait(30)
