"""A sensor offers its measurements under one key, and a reader asks for them under another."""

import asyncio
import os

import httpx
from hypha_rpc import connect_to_server

URL = os.environ["HYPHA_URL"]


async def refusal(token):
    try:
        async with connect_to_server({"server_url": URL, "token": token}):
            return "let in"
    except Exception as refused:
        return str(refused).splitlines()[-1]


async def main():
    async with httpx.AsyncClient(base_url=URL) as http:
        async with connect_to_server({"server_url": URL, "token": "sk_example_sensor", "workspace": "our-lab"}) as sensor:
            print("The sensor is:", sensor.config.user["id"], "in", sensor.config.workspace)
            await sensor.register_service({"id": "weather", "now": lambda: {"degrees": 21.5}})
            path = "/our-lab/services/weather/now"
            for key in ("sk_example_sensor", "sk_example_reader", "sk_example_guess"):
                answer = await http.get(path, headers={"X-API-Key": key})
                print(f"{key}: {answer.status_code}", answer.json() if answer.is_success else answer.json()["detail"])
            print("Without a key:", (await http.get(path)).status_code)
        print("A key that is none:", await refusal("sk_example_guess"))


asyncio.run(main())
