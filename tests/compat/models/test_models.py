"""The agent answers by a model: a key in a project's `.env` is enough (L-043), and `[model]` says it for every surface."""

import json

import openai
import pytest
import requests
from langgraph_sdk import get_sync_client

from harness.client import Client
from harness.doorward import Doorward
from harness.models import ANSWER, KEY
from harness.native import person

SAY = {"messages": [{"role": "user", "content": "Tell me a joke"}]}


def test_the_model_server_of_these_tests_speaks_to_openais_own_client(model):
    client = openai.OpenAI(base_url=f"{model.url}/v1", api_key=KEY, max_retries=0)
    stream = client.chat.completions.create(
        model="small", messages=SAY["messages"], stream=True, stream_options={"include_usage": True}, max_completion_tokens=100
    )
    chunks = list(stream)
    texts = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(texts) == ANSWER and len([text for text in texts if text]) > 3
    assert chunks[-1].usage.total_tokens > 0
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-other").chat.completions.create(model="small", messages=SAY["messages"])


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ("ANTHROPIC_API_KEY={key}\nANTHROPIC_BASE_URL={url}\nANTHROPIC_MODEL=small-1\n", "small-1"),
        ("OPENAI_API_KEY='{key}'\nOPENAI_BASE_URL={url}/v1\n", "gpt-5.4-mini"),
    ],
    ids=["the sample's key", "OpenAI's key"],
)
def test_a_key_in_the_projects_dotenv_lets_the_agent_answer_by_a_model(model, start_project, variables, named):
    server = start_project(variables.format(key=KEY, url=model.url))
    client = get_sync_client(url=server.mount("langgraph"))
    thread = client.threads.create()["thread_id"]
    parts = list(client.runs.stream(thread, "agent", input=SAY, stream_mode="messages-tuple"))
    pieces = [part.data[0]["content"] for part in parts if part.event == "messages"]
    assert "".join(pieces) == ANSWER and len(pieces) > 3, "piece by piece"
    again = client.runs.wait(thread, "agent", input={"messages": [{"role": "user", "content": f"Another joke of {named}"}]})
    assert [message["content"] for message in again["messages"]][1::2] == [ANSWER, ANSWER]
    asked = model.asked(f"of {named}")[-1]
    assert asked["body"]["model"] == named and asked["body"]["stream"] is True
    told = [(message["role"], message["content"]) for message in asked["body"]["messages"]]
    assert told == [("user", "Tell me a joke"), ("assistant", ANSWER), ("user", f"Another joke of {named}")]
    assert f"answered by {named} at {model.url}" in server.log and KEY not in server.log


@pytest.mark.parametrize(
    "dotenv",
    ["OTHER=x\n", "ANTHROPIC_API_KEY=\n", "ANTHROPIC_API_KEY=your-anthropic-key  # For the LLM in our chatbot\n"],
    ids=["no key", "an empty key", "the page's placeholder"],
)
def test_without_a_key_the_agent_echoes(start_project, dotenv):
    client = get_sync_client(url=start_project(dotenv).mount("langgraph"))
    answer = client.runs.wait(None, "agent", input=SAY)
    assert answer["messages"][-1]["content"] == "Echo: Tell me a joke"


def test_who_says_echo_is_not_answered_by_a_model_whatever_the_dotenv_holds(model, start_project):
    server = start_project(f"OPENAI_API_KEY={KEY}\nOPENAI_BASE_URL={model.url}/v1\n", '[agents]\nrunner = "echo"\n')
    client = get_sync_client(url=server.mount("langgraph"))
    answer = client.runs.wait(None, "agent", input={"messages": [{"role": "user", "content": "a joke that stays here"}]})
    assert answer["messages"][-1]["content"] == "Echo: a joke that stays here"
    assert model.asked("that stays here") == []


@pytest.mark.parametrize("named", [True, False], ids=["named", "not named"])
def test_a_key_among_the_servers_variables_counts_where_user_code_is_given_it(model, start_project, named):
    config = '[handlers]\npass_environment = ["OPENAI_API_KEY", "OPENAI_BASE_URL"]\n' if named else ""
    server = start_project("", config, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=f"{model.url}/v1")
    client = get_sync_client(url=server.mount("langgraph"))
    answer = client.runs.wait(None, "agent", input=SAY)["messages"][-1]["content"]
    assert answer == (ANSWER if named else "Echo: Tell me a joke")


@pytest.fixture(scope="module")
def everywhere(model, tmp_path_factory):
    """Every surface, and an agent that asks a model as the configuration says."""
    home = tmp_path_factory.mktemp("everywhere")
    (home / "model.key").write_text(f"{KEY}\n")
    (home / "model.key").chmod(0o600)
    (home / "doorward.toml").write_text(
        f'[agents]\nrunner = "openai"\n[model]\nname = "small"\nbase_url = "{model.url}/v1"\napi_key_file = "model.key"\nsystem = "Be brief."\n'
    )
    (home / "agentflow.json").write_text(json.dumps({"agent": "graph:app", "auth": None}))
    arguments = ["--config", home / "doorward.toml", "--agentflow", home / "agentflow.json"]
    with Doorward("dev", "--listen", "127.0.0.1:0", *arguments, home=home) as server:
        yield server


def test_the_native_api_streams_the_models_words(model, everywhere):
    someone = person(everywhere.url)
    thread = someone.client.post("/v1/threads", json={}).json()["id"]
    said = {"messages": [{"role": "system", "content": "Be rude."}, {"content": "a joke of the native API"}]}
    answer = someone.client.post(f"/v1/threads/{thread}/runs", json=said, headers={"Accept": "text/event-stream"})
    lines = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: ")]
    pieces = [line["text"] for line in lines if set(line) == {"text"}]
    assert "".join(pieces) == ANSWER and len(pieces) > 3, answer.text
    told = model.asked("of the native API")[-1]["body"]["messages"]
    assert [(message["role"], message["content"]) for message in told] == [
        ("system", "Be brief."),
        ("user", "Be rude."),
        ("user", "a joke of the native API"),
    ], "a caller's instruction is not the operator's"


def test_agentflow_streams_the_models_words(everywhere):
    said = {"messages": [{"role": "user", "content": [{"type": "text", "text": "a joke"}]}]}
    url = f"{everywhere.mount('agentflow')}/v1/graph/stream"
    answer = requests.post(url, json=said, timeout=30)
    lines = [json.loads(line) for line in answer.text.splitlines() if line]
    texts = ["".join(part.get("text", "") for part in line["message"]["content"]) for line in lines if line["message"]["delta"]]
    assert "".join(texts) == ANSWER and len(texts) > 3, answer.text


def test_muxis_chat_answers_with_the_models_words(everywhere):
    client = Client(everywhere.mount("muxi"))
    account = {"username": "model-compat", "password": "correct horse battery staple 7", "email": "model-compat@example.org"}
    client.token = client.post("/auth/register", json=account).json()["access_token"]
    answer = client.post("/chat", params={"message": "a joke"})
    assert ANSWER in answer.text, answer.text


def test_a_model_server_that_is_overloaded_ends_the_run_with_its_code(everywhere):
    someone = person(everywhere.url)
    thread = someone.client.post("/v1/threads", json={}).json()["id"]
    answer = someone.client.post(f"/v1/threads/{thread}/runs", json={"messages": [{"content": "overload"}]})
    assert "agent_busy: the agent takes no more at the moment" in answer.text, answer.text
    assert "503" in everywhere.log and "server_error" in everywhere.log
    assert "overloaded" not in everywhere.log, "its own words may repeat what people wrote"
    assert KEY not in everywhere.log
