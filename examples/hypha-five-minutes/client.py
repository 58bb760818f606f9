"""Ann has an account at Doorward. Her program offers a service in her workspace, and Bob's calls it with a token that she gives him."""

import asyncio
import json
import os
import urllib.request

from hypha_rpc import connect_to_server

URL, HUB = os.environ["DOORWARD_URL"], os.environ["HYPHA_URL"]
PASSWORD = "correct horse battery staple 7"


def post(path, **body):
    request = urllib.request.Request(f"{URL}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))


def token(name):
    """Signs up and logs in."""
    post("/v1/users", username=name, password=PASSWORD)
    return post("/v1/token", grant_type="password", username=name, password=PASSWORD)["access_token"]


async def main():
    async with connect_to_server({"server_url": HUB, "token": token("ann")}) as ann:
        await ann.register_service({"id": "greeter", "hello": lambda name: f"Hello {name}"})
        workspace = ann.config.workspace
        print("Ann is in a workspace of her own:", workspace.startswith("ws-user-"))
        async with connect_to_server({"server_url": HUB, "token": token("bob")}) as bob:
            try:
                await bob.get_service(f"{workspace}/greeter")
            except Exception as refused:
                print("Bob is refused her service:", "permission" in str(refused).lower())
        given = await ann.generate_token({"permission": "read", "expires_in": 60})
        async with connect_to_server({"server_url": HUB, "token": given, "workspace": workspace}) as guest:
            greeter = await guest.get_service("greeter")
            print("With a token that she gives him:", await greeter.hello("Bob"))
            try:
                await guest.register_service({"id": "mine", "hello": lambda name: name})
            except Exception as refused:
                print("To offer something there it is too little:", "permission" in str(refused).lower())


asyncio.run(main())
