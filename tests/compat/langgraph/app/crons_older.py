"""Every method of `client.crons` of langgraph-sdk 0.1.48: `crons_older.py URL TOKEN OTHER TAG`, its findings as JSON on standard output."""

import asyncio
import json
import sys

from langgraph_sdk import get_client

url, token, other, tag = sys.argv[1:]


async def failing(act):
    try:
        await act
    except Exception as refused:  # what it raises is httpx's own
        return refused.response.status_code


async def main():
    client, stranger = (get_client(url=url, headers={"Authorization": f"Bearer {bearer}"}) for bearer in (token, other))
    text = {"messages": [{"role": "user", "content": "hi"}]}
    thread = (await client.threads.create())["thread_id"]
    made = await client.crons.create("agent", schedule="0 9 * * *", input=text, metadata={"tag": tag})
    there = await client.crons.create_for_thread(thread, "agent", schedule="*/15 * * * *", input=text, metadata={"tag": tag}, multitask_strategy="reject")
    told = {
        "made": made,
        "inThread": [there["thread_id"] == thread, there["on_run_completed"]],
        "ids": sorted([made["cron_id"], there["cron_id"]]),
        "found": sorted(one["cron_id"] for one in await client.crons.search()),
        "ofThread": [one["cron_id"] for one in await client.crons.search(thread_id=thread)],
        "theirs": [await failing(stranger.crons.delete(made["cron_id"])), await failing(stranger.crons.create_for_thread(thread, "agent", schedule="0 0 * * *"))],
        "theirSearch": len(await stranger.crons.search()) + len(await stranger.crons.search(thread_id=thread)),
        "neverDue": await failing(client.crons.create("agent", schedule="0 0 31 2 *")),
    }
    for one in told["ids"]:
        await client.crons.delete(one)
    told["gone"] = await failing(client.crons.delete(made["cron_id"]))
    print(json.dumps(told))


asyncio.run(main())
