#!/usr/bin/env bash
# Ann and Bob have accounts at Doorward, and use AgentFlow's own routes through it. The server behind knows no users.
set -euo pipefail

json='Content-Type: application/json'
# The member of a JSON answer that a path of names leads to.
pick() { python3 -c 'import functools, json, sys; print(functools.reduce(lambda at, name: at[int(name) if name.lstrip("-").isdigit() else name], sys.argv[1].split("."), json.load(sys.stdin)))' "$1"; }

# Signs up and logs in.
token() {
  local who="\"username\": \"$1\", \"password\": \"correct horse battery staple 7\""
  curl -fsS "$DOORWARD_URL/v1/users" -H "$json" -d "{$who}" >/dev/null
  curl -fsS "$DOORWARD_URL/v1/token" -H "$json" -d "{\"grant_type\": \"password\", $who}" | pick access_token
}
ask() { curl -sS "$AGENTFLOW_URL$1" -H "$json" "${@:2}"; }
status() { ask "$@" -o /dev/null -w '%{http_code}\n'; }

ann="Authorization: Bearer $(token ann)"
bob="Authorization: Bearer $(token bob)"
hello='{"role": "user", "content": [{"type": "text", "text": "Hello"}]}'
answer=$(ask /v1/graph/invoke -H "$ann" -d "{\"messages\": [$hello], \"config\": {\"thread_id\": \"trip\"}}")
echo "The agent answers Ann: $(pick data.messages.-1.content.0.text <<<"$answer")"
echo "Ann reads her thread: $(status /v1/threads/trip/messages -H "$ann")"
echo "Bob asks for it: $(status /v1/threads/trip/messages -H "$bob")"
echo "Bob goes on with it: $(status /v1/graph/invoke -H "$bob" -d "{\"messages\": [$hello], \"config\": {\"thread_id\": \"trip\"}}")"
echo "Nobody in particular asks: $(status /v1/graph/invoke -d "{\"messages\": [$hello]}")"
