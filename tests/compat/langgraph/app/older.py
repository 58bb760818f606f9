"""The tutorial's client, word for word but for where it finds its tokens; run with langgraph-sdk 0.1.48: `older.py URL TOKEN OTHER`."""

import asyncio
import json
import sys

from langgraph_sdk import get_client

url, user_1_token, user_2_token = sys.argv[1:]


async def main():
    # Create an authenticated client
    client = get_client(
        url=url,
        headers={"Authorization": f"Bearer {user_1_token}"}
    )

    # Create a thread and chat with the bot
    thread = await client.threads.create()
    told = {"created": thread, "printed": []}

    # Have a conversation
    async for event, (chunk, metadata) in client.runs.stream(
        thread_id=thread["thread_id"],
        assistant_id="agent",
        input={"messages": [{"role": "user", "content": "Tell me a short joke"}]},
        stream_mode="messages-tuple",
    ):
        if event == "messages" and metadata["langgraph_node"] == "chatbot":
            told["printed"].append(chunk['content'])

    # View the thread history
    thread = await client.threads.get(thread["thread_id"])
    told["thread"] = thread

    # Try to access without a token
    unauthenticated_client = get_client(url=url)
    try:
        await unauthenticated_client.threads.create()
    except Exception as e:
        told["without"] = str(e)

    user_2_client = get_client(
        url=url,
        headers={"Authorization": f"Bearer {user_2_token}"}
    )

    # This passes with the right client; the document's line uses the one without a token
    told["second"] = await user_2_client.threads.create()

    # Try to access user 1's thread
    try:
        await user_2_client.threads.get(thread["thread_id"])
    except Exception as e:
        told["other"] = str(e)
    waited = await client.runs.wait(thread["thread_id"], "agent", input={"messages": [{"role": "user", "content": "again"}]})
    told["waited"] = [message["content"] for message in waited["messages"]]
    told["history"] = len(await client.threads.get_history(thread["thread_id"], limit=100))
    told["found"] = [found["thread_id"] for found in await client.threads.search(metadata={}, limit=10)]
    print(json.dumps(told))


asyncio.run(main())
