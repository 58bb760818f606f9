"""A robot, somebody whom the partner vouches for, and Ann, who has an account at Doorward, come in at one hub."""

import asyncio
import hmac
import os
import time

import httpx
from hypha_rpc import connect_to_server

HYPHA_URL, DOORWARD_URL = os.environ["HYPHA_URL"], os.environ["DOORWARD_URL"]


def partners_pass(name, seconds):
    """What the partner's own server gives to its people."""
    said = f"partner_{name}.{int(time.time()) + seconds}"
    return f"{said}.{hmac.new(os.environ['PARTNER_SECRET'].encode(), said.encode(), 'sha256').hexdigest()}"


def account_of_ann():
    ann = {"username": "ann", "password": "correct horse battery 7"}
    httpx.post(f"{DOORWARD_URL}/v1/users", json=ann).raise_for_status()
    return httpx.post(f"{DOORWARD_URL}/v1/token", json={"grant_type": "password", **ann}).json()["access_token"]


async def told(token):
    try:
        async with connect_to_server({"server_url": HYPHA_URL, "token": token}) as server:
            user = server.config.user
            return "ann, by her account" if user["id"].startswith("usr_") else user["id"]
    except Exception as refused:
        return str(refused).splitlines()[-1]


async def main():
    good = partners_pass("bob", 60)
    for what, token in (
        ("API key", "sk_example_robot"),
        ("Pass", good),
        ("Account", account_of_ann()),
        ("Guessed key", "sk_example_guess"),
        ("Another name on the pass", good.replace("bob", "eve")),
        ("Pass of yesterday", partners_pass("bob", -86_400)),
    ):
        print(f"{what}: {await told(token)}")


asyncio.run(main())
