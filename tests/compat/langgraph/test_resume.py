"""Streams that are taken up again, and batches, with both SDKs."""

import os

from agentserver import APP
from langgraph_sdk import get_sync_client
from test_tutorial import run

from harness.programs import node_binary, node_modules


def check(told: dict) -> None:
    whole, at = told["whole"], told["at"]
    assert len(whole) > 4 and all(number for number, *_ in whole), "each event of a resumable stream has its number"
    assert {"metadata", "values", "messages"} <= {event for _, event, _ in whole}
    assert told["rest"] == whole[at + 1 :] and told["none"] == []
    assert len(told["batch"]) == 2 and {*told["batch"]} <= {"pending", "running", "success"}


def test_the_javascript_sdk_takes_a_stream_up_again(tutorial):
    check(run([node_binary(), APP / "resume.mjs", node_modules("@langchain/langgraph-sdk"), tutorial.mount("langgraph"), f"user-{os.urandom(6).hex()}"]))


def test_the_python_sdk_takes_a_stream_up_again(tutorial):
    client = get_sync_client(url=tutorial.mount("langgraph"), headers={"Authorization": f"Bearer user-{os.urandom(6).hex()}"})
    body = {"messages": [{"role": "user", "content": "one two three"}]}
    thread = client.threads.create()["thread_id"]
    begun = client.runs.create(thread, "agent", input=body, stream_mode=["values", "messages-tuple"], stream_resumable=True)["run_id"]

    def joined(last: str) -> list:
        return [[part.id, part.event, part.data] for part in client.runs.join_stream(thread, begun, last_event_id=last)]

    whole = joined("-1")
    at = len(whole) // 2
    batch = client.runs.create_batch([{"assistant_id": "agent", "input": body}] * 2)
    check({"whole": whole, "rest": joined(whole[at][0]), "none": joined(whole[-1][0]), "at": at, "batch": [one["status"] for one in batch]})
