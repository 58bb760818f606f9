"""Ann and Bob have accounts at Doorward, and talk to the agent through it with LangGraph's own SDK."""

import json
import os
import urllib.request

from langgraph_sdk import get_sync_client

URL, AGENT = os.environ["DOORWARD_URL"], os.environ["LANGGRAPH_URL"]
PASSWORD = "correct horse battery staple 7"


def post(path, **body):
    request = urllib.request.Request(f"{URL}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))


def client(name):
    """Signs up, logs in, and is a client of the agent."""
    post("/v1/users", username=name, password=PASSWORD)
    token = post("/v1/token", grant_type="password", username=name, password=PASSWORD)["access_token"]
    return get_sync_client(url=AGENT, headers={"Authorization": f"Bearer {token}"})


def status(ask):
    try:
        ask()
        return "let in"
    except Exception as refused:
        return refused.response.status_code


ann, bob = client("ann"), client("bob")
nobody = get_sync_client(url=AGENT, api_key=None)
thread = ann.threads.create()["thread_id"]
said = ann.runs.wait(thread, "agent", input={"messages": [{"role": "user", "content": "Hello"}]})
print("The agent answers Ann:", said["messages"][-1]["content"])
print("Ann finds her threads:", len(ann.threads.search()))
print("Bob finds his:", len(bob.threads.search()))
print("Bob asks for Ann's thread:", status(lambda: bob.threads.get(thread)))
print("Nobody in particular asks:", status(lambda: nobody.threads.search()))
