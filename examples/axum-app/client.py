"""Starts the application and asks it as several callers; the first lines that it prints are where it is, and three keys."""

import signal
import subprocess
import sys
import urllib.error
import urllib.request

app = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True)
try:
    url, ann, reader, robot = (app.stdout.readline().strip() for _ in range(4))
    for who, key, method, path in [
        ("Everybody", "", "GET", "/health"),
        ("Nobody in particular", "", "GET", "/me"),
        ("Somebody who guesses", "dw_user_guess", "GET", "/me"),
        ("Ann", ann, "GET", "/me"),
        ("Ann", ann, "POST", "/reports"),
        ("A key for reading reports", reader, "GET", "/reports"),
        ("A key for reading reports", reader, "POST", "/reports"),
        ("A key for something else", robot, "GET", "/reports"),
    ]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        request = urllib.request.Request(url + path, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request) as answer:
                said = f"{answer.status} {answer.read().decode()}"
        except urllib.error.HTTPError as refused:
            said = f"{refused.code} {refused.headers['WWW-Authenticate'] or ''}".strip()
        print(f"{who}, {method} {path}: {said}")
finally:
    app.send_signal(signal.SIGINT)
    app.wait()
