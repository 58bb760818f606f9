"""Supabase's routes of a running Doorward, and the letters it writes."""

import re
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import requests

from harness.client import Client
from harness.doorward import Doorward
from harness.programs import wait_until

PASSWORD = "password"


def address(name: str = "person") -> str:
    return f"{name}-{uuid4().hex[:12]}@example.org"


class Supabase:
    """One mount: its address, its keys, and clients with addresses of their own."""

    def __init__(self, server: Doorward, mount: str = "supabase", keys: dict | None = None) -> None:
        self.server = server
        self.url = server.mount(mount)
        self.auth_url = f"{self.url}/auth/v1"
        keys = keys or server.ready["supabase"]
        self.anon_key, self.service_key = keys["anon_key"], keys["service_key"]

    def client(self, token: str | None = None, *, roaming: bool = False, key: str | None = None) -> "Anybody":
        return Anybody(self, token, roaming=roaming, key=key or self.anon_key)

    def mails(self, to: str) -> list[str]:
        """Texts of letters to an address, newest first, as `dev` keeps them."""
        shown = requests.get(f"{self.server.url}/_mail", timeout=10).json()["mails"]
        return [mail["text"] for mail in shown if mail["to"] == to]

    def mail(self, to: str, number: int = 1) -> str:
        """The newest letter, once there are so many."""
        return wait_until(lambda: len(self.mails(to)) >= number and self.mails(to)[0], f"letter {number} to {to}")

    def confirmed(self, name: str = "person", password: str = PASSWORD) -> "Person":
        """Somebody who signed up, opened the link, and logged in."""
        person = Person(self, address(name), password)
        made = person.client.post("/signup", json={"email": person.email, "password": password})
        assert made.status_code == 200, made.text
        opened = requests.get(link_of(self.mail(person.email)), allow_redirects=False, timeout=10)
        assert opened.status_code == 303 and "access_token=" in opened.headers["Location"], opened.headers
        person.log_in()
        return person


class Anybody(Client):
    """`Client` that brings the mount's key."""

    def __init__(self, supabase: Supabase, token: str | None, *, roaming: bool, key: str) -> None:
        self.key = key
        super().__init__(supabase.auth_url, token, roaming=roaming)

    def request(self, method: str, path: str, **options) -> requests.Response:
        headers = {"apikey": self.key, **(options.pop("headers", None) or {})}
        return super().request(method, path, headers=headers, **options)


class Person:
    def __init__(self, supabase: Supabase, email: str, password: str) -> None:
        self.supabase, self.email, self.password = supabase, email, password
        self.client = supabase.client()
        self.session: dict = {}

    def log_in(self) -> dict:
        body = {"email": self.email, "password": self.password}
        answer = self.client.post("/token?grant_type=password", json=body, token=None)
        assert answer.status_code == 200, answer.text
        self.session = answer.json()
        self.client.token = self.session["access_token"]
        return self.session

    def refresh(self, token: str | None = None) -> requests.Response:
        body = {"refresh_token": token or self.session["refresh_token"]}
        return self.client.post("/token?grant_type=refresh_token", json=body, token=None)


def keys_of(server: Doorward, config) -> dict[str, dict]:
    """The keys of each mount that speaks Supabase, as the command line shows them."""
    return {one["mount"]: one for one in server.command("supabase", "keys", "--config", config)}


def native_id(uuid: str) -> str:
    """The id of an account on every other surface."""
    return "usr_" + uuid.replace("-", "")


def token_of(text: str) -> str:
    """What a letter's link holds."""
    return re.search(r"token=([^&]+)", link_of(text))[1]


def link_of(text: str) -> str:
    return re.search(r"https?://\S+", text)[0]


def digits_of(text: str) -> str:
    return re.search(r"code: (\d{6})$", text, re.MULTILINE)[1]


def fragment_of(response: requests.Response) -> dict[str, str]:
    """What stands behind the # of a redirect."""
    return {name: values[0] for name, values in parse_qs(urlsplit(response.headers["Location"]).fragment, keep_blank_values=True).items()}


def open_link(link: str, **parameters) -> requests.Response:
    """Opens a link as somebody who was never here: links that are none count as failures of an address."""
    return Client(link, roaming=True).get("", params=parameters or None)
