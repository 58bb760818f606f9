"""A `requests` client whose every instance calls from a loopback address of its own.

Doorward slows down an address after ten failures. Tests that provoke refusals must not disturb
one another, so each client binds its own address in 127.0.0.0/8 (any of them reaches a server
on 127.0.0.1). `roaming` changes the address with each request, for tables of refusals.
"""

import itertools
import os

import requests
from requests.adapters import HTTPAdapter

TIMEOUT_S = 30
# Starts at 127.N.1.1, so never 127.0.0.1, where everything else on the machine calls from.
_addresses = itertools.count()


def next_address() -> str:
    number = next(_addresses)
    return f"127.{os.getpid() % 199 + 1}.{number // 250 % 250 + 1}.{number % 250 + 1}"


class FromAddress(HTTPAdapter):
    """Lets a `requests` session call from that address."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__(max_retries=0)

    def init_poolmanager(self, *arguments, **options) -> None:
        super().init_poolmanager(*arguments, source_address=(self._address, 0), **options)


class Client:
    """Calls one base URL; with `token`, as its holder."""

    def __init__(self, base: str, token: str | None = None, *, roaming: bool = False) -> None:
        self.base = base.rstrip("/")
        self.token = token
        self.roaming = roaming
        self._session = self._fresh()

    def _fresh(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        self.address = next_address()
        session.mount("http://", FromAddress(self.address))
        session.mount("https://", FromAddress(self.address))
        return session

    def request(self, method: str, path: str, **options) -> requests.Response:
        if self.roaming:
            self._session.close()
            self._session = self._fresh()
        headers = dict(options.pop("headers", None) or {})
        token = options.pop("token", self.token)
        if token is not None:
            headers.setdefault("Authorization", f"Bearer {token}")
        options.setdefault("timeout", TIMEOUT_S)
        options.setdefault("allow_redirects", False)
        return self._session.request(method, self.base + path, headers=headers, **options)

    def send(self, prepared: requests.PreparedRequest) -> requests.Response:
        """A request prepared by hand, for what `request` would tidy up."""
        return self._session.send(prepared, timeout=TIMEOUT_S, allow_redirects=False)

    def get(self, path: str, **options) -> requests.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options) -> requests.Response:
        return self.request("POST", path, **options)

    def put(self, path: str, **options) -> requests.Response:
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options) -> requests.Response:
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options) -> requests.Response:
        return self.request("DELETE", path, **options)


def values_of(key: str, answer) -> list:
    """Every value of `key` in a JSON answer, at any depth, in order."""
    if isinstance(answer, dict):
        own = [answer[key]] if key in answer else []
        return own + [found for part in answer.values() for found in values_of(key, part)]
    if isinstance(answer, list):
        return [found for part in answer for found in values_of(key, part)]
    return []
