"""A provider shaped as GitHub's documentation describes it: OAuth 2.0 without a description of itself, refusals that come as 200,
a form-encoded answer for whoever does not ask for JSON, the address at another URL."""

import base64
import hashlib
import http.server
import json
import secrets
import threading
from urllib.parse import parse_qs, urlencode, urlsplit

CLIENT_ID, CLIENT_SECRET = "Iv1.0123456789abcdef", "0123456789abcdef0123456789abcdef01234567"


class GitHub:
    """Whoever comes is `octocat`, whose number is 583231, once they have pressed the button."""

    def __init__(self) -> None:
        self.user = {"login": "octocat", "id": 583231, "name": "The Octocat", "email": "public@elsewhere.example"}
        self.emails = [
            {"email": "old@company.example", "primary": False, "verified": True, "visibility": None},
            {"email": "octocat@company.example", "primary": True, "verified": True, "visibility": "private"},
        ]
        self.codes: dict[str, dict] = {}
        self.tokens: set[str] = set()
        self.exchanges: list[dict] = []
        #: What stands in the answer to an exchange besides, and what is answered instead: status, body, media type.
        self.more: dict = {}
        self.instead: tuple[int, str, str] | None = None
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, status, body, media="application/json; charset=utf-8", **headers):
                body = body if isinstance(body, bytes) else body.encode()
                self.send_response(status)
                self.send_header("Content-Type", media)
                self.send_header("Content-Length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                url = urlsplit(self.path)
                asked = {name: values[0] for name, values in parse_qs(url.query).items()}
                if url.path == "/login/oauth/authorize":
                    if asked.get("client_id") != CLIENT_ID:
                        return self.answer(404, "Not Found", "text/plain")
                    hidden = "".join(f'<input type=hidden name="{n}" value="{v}">' for n, v in asked.items())
                    page = f'<title>Authorize</title><form action="/authorized">{hidden}<button id=yes>Authorize</button></form>'
                    page += f'<form action="/refused">{hidden}<button id=no>Cancel</button></form>'
                    return self.answer(200, page, "text/html; charset=utf-8")
                if url.path == "/authorized":
                    code = secrets.token_hex(10)
                    site.codes[code] = asked
                    query = urlencode({"code": code, "state": asked["state"]})
                    return self.answer(302, "", Location=f"{asked['redirect_uri']}?{query}")
                if url.path == "/refused":
                    query = urlencode({"error": "access_denied", "error_description": "no", "state": asked["state"]})
                    return self.answer(302, "", Location=f"{asked['redirect_uri']}?{query}")
                scheme, _, token = self.headers.get("Authorization", "").partition(" ")
                if scheme.lower() != "bearer" or token not in site.tokens:
                    return self.answer(401, json.dumps({"message": "Bad credentials"}))
                if not self.headers.get("User-Agent"):
                    return self.answer(403, json.dumps({"message": "Request forbidden by administrative rules."}))
                if url.path == "/user":
                    return self.answer(200, json.dumps(site.user))
                if url.path == "/user/emails":
                    return self.answer(200, json.dumps(site.emails))
                return self.answer(404, json.dumps({"message": "Not Found"}))

            def do_POST(self):
                length = int(self.headers.get("Content-Length", 0))
                form = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
                site.exchanges.append(form)
                if site.instead is not None:
                    status, body, media = site.instead
                    return self.answer(status, body, media)
                begun = site.codes.pop(form.get("code", ""), None)
                digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
                challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
                if form.get("client_id") != CLIENT_ID or form.get("client_secret") != CLIENT_SECRET:
                    said = {"error": "incorrect_client_credentials", "error_description": "The client_id and/or client_secret..."}
                elif begun is None or begun["redirect_uri"] != form.get("redirect_uri") or begun["code_challenge"] != challenge:
                    said = {"error": "bad_verification_code", "error_description": "The code passed is incorrect or expired."}
                else:
                    token = f"gho_{secrets.token_hex(18)}"
                    site.tokens.add(token)
                    said = {"access_token": token, "scope": "read:user,user:email", "token_type": "bearer", **site.more}
                if "application/json" in self.headers.get("Accept", ""):
                    return self.answer(200, json.dumps(said))
                return self.answer(200, urlencode(said), "application/x-www-form-urlencoded; charset=utf-8")

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()
