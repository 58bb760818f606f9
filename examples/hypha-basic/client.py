"""Ann signs up, and lets a program in: what a browser on the page does, without a browser."""

import asyncio
import os

import httpx
from hypha_rpc import connect_to_server, login

URL = os.environ["HYPHA_URL"]
ANN = {"email": "ann@example.org", "password": "correct horse battery"}


async def main():
    async with httpx.AsyncClient(base_url=URL) as http:

        async def call(method, **given):
            answer = await http.post(f"/public/services/hypha-login/{method}", json=given)
            return answer.raise_for_status().json()

        async def by_page(context):
            """What hypha-rpc does with the address of the page; usually it prints it."""
            signed_in = await call("login", **ANN)
            await call("report", key=context["key"], token=signed_in["token"])

        made = await call("signup", **ANN)
        print("Ann signs up:", made["success"])
        print("Somebody else with her address is told:", (await call("signup", **ANN))["error"])
        print("A wrong password is told:", (await call("login", email=ANN["email"], password="a wrong guess"))["error"])
        token = await login({"server_url": URL, "login_callback": by_page})
        async with connect_to_server({"server_url": URL, "token": token}) as server:
            print("Ann's program comes in as:", server.config.user["email"])
            print("It stands in Ann's own workspace:", server.config.workspace == f"ws-user-{made['user_id']}")
            await server.register_service({"id": "hello", "hello": lambda name: f"Hello {name}"})
            path = f"/{server.config.workspace}/services/hello/hello?name=Bob"
            answer = await http.get(path, headers={"Authorization": f"Bearer {token}"})
            print("Ann calls its service:", answer.json())
            print("Nobody in particular calls it:", (await http.get(path)).status_code)


asyncio.run(main())
