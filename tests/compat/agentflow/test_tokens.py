"""What a token must hold, how a bad one is refused, and how a good one ends (A-022, A-031 to A-043, A-064 to A-073)."""

import json
import time

import jwt
import pytest

from harness.agentflow.settings import SECRET, jwt_variables, write_settings
from harness.agentflow.tokens import HOUR_S, claims, node_token, raw_token, token
from harness.client import Client
from harness.programs import wait_until

MISSING, INVALID, EXPIRED = "REVOKED_TOKEN", "INVALID_TOKEN", "EXPIRED_TOKEN"
DETAILS = {
    MISSING: "Not authenticated",
    INVALID: "Could not validate credentials",
    EXPIRED: "Token has expired",
}


def now() -> int:
    return int(time.time())


def assert_refused(answer, code: str) -> None:
    """The one shape of a 401: the document's `detail`, the package's `error`, the challenge."""
    assert answer.status_code == 401, answer.text
    body = answer.json()
    assert body["detail"] == DETAILS[code]
    assert body["error"]["code"] == code
    assert body["error"]["message"]
    assert body["metadata"]["request_id"] == answer.headers["X-Request-ID"]
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith("Bearer ") and 'realm="' in challenge


# A-042 -------------------------------------------------------------------


def test_a_missing_token_is_told_in_both_styles(anyone):
    assert_refused(anyone.get("/threads"), MISSING)


def test_junk_is_told_in_both_styles(anyone):
    assert_refused(anyone.get("/threads", token="junk"), INVALID)


def test_an_expired_token_is_told_in_both_styles(anyone):
    assert_refused(anyone.get("/threads", token=token(exp=now() - HOUR_S)), EXPIRED)


def test_the_gateway_refuses_in_the_same_words(gateway):
    client = Client(gateway.mount("agentflow"), roaming=True)
    assert_refused(client.get("/v1/graph"), MISSING)
    assert_refused(client.get("/v1/graph", token="junk"), INVALID)
    assert_refused(client.get("/v1/graph", token=token(exp=now() - HOUR_S)), EXPIRED)


@pytest.mark.parametrize(
    ("method", "path", "credential", "status"),
    [
        ("GET", "/ping", None, 200),
        ("GET", "/threads", "good", 200),
        ("POST", "/threads", "good", 200),
        ("GET", "/threads", None, 401),
        ("GET", "/threads/nobodys", "good", 404),
        ("GET", "/no/such/route", "good", 404),
    ],
    ids=["ping", "list", "create", "no_token", "unknown_thread", "unknown_route"],
)
def test_every_answer_carries_its_id_and_time(anyone, method, path, credential, status):
    answer = anyone.request(method, path, token=token() if credential else None)
    assert answer.status_code == status, answer.text
    assert answer.headers["X-Request-ID"]
    assert answer.headers["X-Timestamp"]


def test_each_request_has_an_id_of_its_own(anyone):
    ids = {anyone.get("/ping").headers["X-Request-ID"] for _ in range(5)}
    assert len(ids) == 5


# A-043 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/threads", "/threads/some-thread/messages", "/v1/graph/invoke"])
def test_authentication_comes_before_the_body(anyone, path):
    broken = {"data": b"{not json", "headers": {"Content-Type": "application/json"}}
    assert_refused(anyone.post(path, **broken), MISSING)
    assert anyone.post(path, token=token(), **broken).status_code == 400


# A-031, A-032 ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("Bearer {token}", True),
        ("bearer {token}", True),
        ("BEARER {token}", True),
        ("Basic {token}", False),
        ("Bearer", False),
        ("Bearer ", False),
        ("{token}", False),
        ("Token {token}", False),
        ("Bearer {token} trailing", False),
        ("Bearer {token},{token}", False),
    ],
)
def test_only_the_word_bearer_in_any_case_makes_a_token(anyone, header, accepted):
    answer = anyone.get("/threads", headers={"Authorization": header.format(token=token())}, token=None)
    assert answer.status_code == (200 if accepted else 401), answer.text


@pytest.mark.parametrize(
    "request_of",
    [
        lambda good: {"params": {"token": good}},
        lambda good: {"params": {"access_token": good}},
        lambda good: {"cookies": {"access_token": good}},
        lambda good: {"headers": {"Sec-WebSocket-Protocol": f"agentflow-bearer, {good}"}},
    ],
    ids=["query_token", "query_access_token", "cookie", "websocket_protocol"],
)
def test_a_token_elsewhere_in_a_plain_request_is_no_token(anyone, request_of):
    assert_refused(anyone.get("/threads", **request_of(token())), MISSING)


# A-033 ----------------------------------------------------------------------------------------


def test_the_documents_whole_payload_is_understood(anyone):
    whole = {"email": "john@example.com", "roles": ["user", "admin"]}
    assert anyone.get("/threads", token=token(**whole)).status_code == 200


@pytest.mark.parametrize("make", [token, node_token], ids=["pyjwt", "jsonwebtoken"])
def test_both_libraries_tokens_name_the_same_user(anyone, make):
    user = f"twin-{make.__name__}"
    thread_id = anyone.post("/threads", token=make(user)).json()["thread_id"]
    assert anyone.get(f"/threads/{thread_id}", token=token(user)).status_code == 200


def test_claims_nobody_knows_do_no_harm(anyone):
    extra = {"subscription": "pro", "nested": {"deep": [1, 2, {"x": None}]}, "名前": "値"}
    assert anyone.get("/threads", token=token(**extra)).status_code == 200


# A-034 ----------------------------------------------------------------------------------------


def test_roles_of_a_token_are_the_roles_of_its_user(anyone):
    """An administrator of the mount sees what others own there."""
    thread_id = anyone.post("/threads", token=token("role-owner")).json()["thread_id"]
    for roles, status in ((["user"], 404), (["user", "admin"], 200), (["admin"], 200), ([], 404)):
        seen = anyone.get(f"/threads/{thread_id}", token=token("role-other", roles=roles))
        assert seen.status_code == status, f"{roles}: {seen.text}"


@pytest.mark.parametrize(
    "roles", ["admin", {"admin": True}, [["admin"]], 7, ["Admin"], ["unheard-of"], [None]]
)
def test_roles_of_another_shape_or_name_give_nothing(anyone, roles):
    thread_id = anyone.post("/threads", token=token("role-owner")).json()["thread_id"]
    seen = anyone.get(f"/threads/{thread_id}", token=token("role-other", roles=roles))
    assert seen.status_code in (401, 404), seen.text


def test_an_administrator_of_the_mount_is_nobody_elsewhere(jwt_dev):
    credential = token(roles=["admin"])
    for path in ("/v1/me", "/v1/users", "/v1/audit"):
        assert Client(jwt_dev.url).get(path, token=credential).status_code == 401


# A-035 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "payload", "signature"])
def test_one_changed_bit_in_any_part_is_invalid(anyone, part):
    parts = token().split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for position in (1, len(parts[part]) // 2, len(parts[part]) - 3):
        text = parts[part]
        flipped = alphabet[alphabet.index(text[position]) ^ 1]
        changed = [*parts]
        changed[part] = text[:position] + flipped + text[position + 1 :]
        assert_refused(anyone.get("/threads", token=".".join(changed)), INVALID)


def test_another_secret_is_invalid(anyone):
    assert_refused(anyone.get("/threads", token=token(key="another-" + SECRET)), INVALID)


def test_another_hash_of_the_same_secret_is_invalid(anyone):
    for algorithm in ("HS384", "HS512"):
        assert_refused(anyone.get("/threads", token=token(algorithm=algorithm)), INVALID)


# A-036 ----------------------------------------------------------------------------------------


def test_a_token_is_expired_once_the_leeway_is_over(anyone):
    assert_refused(anyone.get("/threads", token=token(exp=now() - 35)), EXPIRED)
    assert anyone.get("/threads", token=token(exp=now() + 5)).status_code == 200


# A-037 ----------------------------------------------------------------------------------------

HEADER = {"alg": "HS256", "typ": "JWT"}
MALFORMED = {
    "two_parts": lambda good: good.rsplit(".", 1)[0],
    "four_parts": lambda good: good + ".extra",
    "one_part": lambda good: good.replace(".", ""),
    "empty_parts": lambda good: "..",
    "no_signature": lambda good: good.rsplit(".", 1)[0] + ".",
    "bad_base64": lambda good: good.replace(".", ".!!!", 1),
    "padded_base64": lambda good: good + "=",
    "spaced": lambda good: good.replace(".", ". ", 1),
    "jwe_shape": lambda good: "a.b.c.d.e",
    "json_form": lambda good: json.dumps({"payload": good.split(".")[1], "signatures": []}),
    "payload_is_a_list": lambda good: raw_token([1, 2]),
    "payload_is_text": lambda good: raw_token(b'"text"'),
    "payload_is_null": lambda good: raw_token(b"null"),
    "payload_is_not_json": lambda good: raw_token(b"{not json"),
    "payload_is_empty": lambda good: raw_token(b""),
    "payload_is_not_utf8": lambda good: raw_token(b'{"user_id":"\xff\xfe"}'),
    "payload_is_deep": lambda good: raw_token(b'{"user_id":"u","x":' + b"[" * 2000 + b"]" * 2000 + b"}"),
    "payload_repeats_a_claim": lambda good: raw_token(
        b'{"user_id":"alice","user_id":"bob","exp":%d}' % (now() + HOUR_S)
    ),
    "critical_extension": lambda good: token(headers={"crit": ["b64"], "b64": False}),
    "unknown_critical": lambda good: token(headers={"crit": ["x"], "x": 1}),
    "over_8_kib": lambda good: token(padding="x" * 9000),
}


@pytest.mark.parametrize("name", sorted(MALFORMED))
def test_a_malformed_token_is_invalid_and_never_an_error_of_ours(anyone, name):
    assert_refused(anyone.get("/threads", token=MALFORMED[name](token())), INVALID)


def test_a_token_of_a_megabyte_is_refused_with_a_4xx(anyone):
    answer = anyone.get("/threads", token="x" * 1_000_000)
    assert 400 <= answer.status_code < 500


# A-038, A-068 ---------------------------------------------------------------------------------

BAD_CLAIMS = {
    "exp_missing": {"exp": None},
    "exp_text": {"exp": str(int(time.time()) + HOUR_S)},
    "exp_boolean": {"exp": True},
    "exp_list": {"exp": [1]},
    "exp_fraction_text": {"exp": "1e12"},
    "exp_beyond_any_calendar": {"exp": 10**30},
    "exp_negative": {"exp": -(10**18)},
    "nbf_in_the_future": {"nbf": int(time.time()) + HOUR_S},
    "nbf_no_number": {"nbf": "soon"},
    "iat_in_the_future": {"iat": int(time.time()) + HOUR_S},
    "iat_no_number": {"iat": "now"},
    "user_id_missing": {"user_id": None},
    "user_id_missing_but_sub": {"user_id": None, "sub": "user123"},
    "user_id_empty": {"user_id": ""},
    "user_id_list": {"user_id": ["user123"]},
    "user_id_object": {"user_id": {"id": "user123"}},
    "user_id_boolean": {"user_id": True},
    "user_id_control_character": {"user_id": "user\u0000123"},
    "user_id_very_long": {"user_id": "u" * 4000},
    "audience_nobody_expects": {"aud": "another-service"},
}


@pytest.mark.parametrize("name", sorted(BAD_CLAIMS))
def test_a_token_with_a_bad_claim_is_refused(anyone, name):
    payload = {key: value for key, value in {**claims(), **BAD_CLAIMS[name]}.items() if value is not None}
    answer = anyone.get("/threads", token=raw_token(payload))
    assert_refused(answer, EXPIRED if name == "exp_negative" else INVALID)


def test_issuer_and_audience_are_mandatory_once_set(start, tmp_path):
    wanted = {"iss": "auth-service", "aud": "agentflow-api"}
    variables = jwt_variables(JWT_ISSUER=wanted["iss"], JWT_AUDIENCE=wanted["aud"])
    settings = write_settings(tmp_path / "app", variables=variables)
    client = Client(start("dev", "--agentflow", settings).mount("agentflow"), roaming=True)
    right = [wanted, {**wanted, "aud": ["other", "agentflow-api"]}]
    wrong = [
        {},
        {"iss": wanted["iss"]},
        {"aud": wanted["aud"]},
        {**wanted, "iss": "auth-service "},
        {**wanted, "aud": ["other"]},
        {**wanted, "aud": []},
        {**wanted, "iss": ["auth-service"]},
    ]
    for changes in right:
        assert client.get("/threads", token=token(**changes)).status_code == 200, changes
    for changes in wrong:
        assert_refused(client.get("/threads", token=raw_token({**claims(), **changes})), INVALID)


# A-064 ----------------------------------------------------------------------------------------


def test_one_environments_token_opens_no_other(start, tmp_path, anyone):
    other_secret = "production-" + SECRET
    settings = write_settings(tmp_path / "app", variables=jwt_variables(other_secret))
    other = Client(start("dev", "--agentflow", settings).mount("agentflow"), roaming=True)
    assert other.get("/threads", token=token(key=other_secret)).status_code == 200
    assert_refused(other.get("/threads", token=token()), INVALID)
    assert_refused(anyone.get("/threads", token=token(key=other_secret)), INVALID)


# A-022, A-069 ---------------------------------------------------------------------------------


def claims_of(text: str) -> dict:
    return jwt.decode(text, options={"verify_signature": False})


def issue(server, user_id: str, *arguments) -> dict:
    settings = server.settings
    return server.command(
        "token", "issue", "--mount", "agentflow", "--user-id", user_id, "--agentflow", settings, *arguments
    )


def test_doorward_issues_the_documents_tokens(jwt_dev):
    made = issue(jwt_dev, "user123", "--claim", "username=john_doe", "--expires-in", "3600")
    text = made["token"]
    decoded = jwt.decode(text, SECRET, algorithms=["HS256"])
    assert decoded["user_id"] == "user123"
    assert decoded["username"] == "john_doe"
    assert 3500 < decoded["exp"] - now() <= 3600
    assert jwt.get_unverified_header(text)["alg"] == "HS256"
    assert Client(jwt_dev.mount("agentflow"), text).get("/threads").status_code == 200


def test_a_token_revoked_by_command_is_refused_within_half_a_second(jwt_dev):
    doomed, kept = (issue(jwt_dev, "user123")["token"] for _ in range(2))
    client = Client(jwt_dev.mount("agentflow"), roaming=True)
    assert client.get("/threads", token=doomed).status_code == 200
    jwt_dev.command("token", "revoke", "--jti", claims_of(doomed)["jti"])
    wait_until(lambda: client.get("/threads", token=doomed).status_code == 401, "the revocation", limit_s=0.5)
    assert_refused(client.get("/threads", token=doomed), INVALID)
    assert client.get("/threads", token=kept).status_code == 200


def test_another_librarys_token_is_revoked_by_its_jti_alone(jwt_dev):
    client = Client(jwt_dev.mount("agentflow"), roaming=True)
    doomed, sibling = token(jti=f"doomed-{now()}"), token(jti=f"sibling-{now()}")
    assert client.get("/threads", token=doomed).status_code == 200
    jwt_dev.command("token", "revoke", "--jti", claims_of(doomed)["jti"])
    wait_until(lambda: client.get("/threads", token=doomed).status_code == 401, "the revocation", limit_s=0.5)
    assert client.get("/threads", token=sibling).status_code == 200


def test_a_revocation_outlives_a_restart(start, tmp_path):
    settings = write_settings(tmp_path / "app")
    first = start("dev", "--agentflow", settings)
    doomed, kept = token(jti="doomed"), token(jti="kept")
    first.command("token", "revoke", "--jti", "doomed")
    assert first.program.stop() == 0
    again = start("dev", "--agentflow", settings, "--data-dir", first.data_dir)
    client = Client(again.mount("agentflow"), roaming=True)
    assert_refused(client.get("/threads", token=doomed), INVALID)
    assert client.get("/threads", token=kept).status_code == 200


# A-073 ----------------------------------------------------------------------------------------


def test_failures_are_audited_with_the_address_and_without_the_token(jwt_dev):
    client = Client(jwt_dev.mount("agentflow"))
    bad = [token(key="another-" + SECRET), token(exp=now() - HOUR_S), token(user_id=None)]
    for credential in bad:
        assert client.get("/threads", token=credential).status_code == 401
    admin = Client(jwt_dev.url, jwt_dev.admin_key)

    def lines():
        audit = admin.get("/v1/audit", params={"limit": 200}).text
        return audit if client.address in audit else None

    audit = wait_until(lines, "the audit lines of these refusals", limit_s=5)
    for credential in bad:
        signature = credential.rsplit(".", 1)[1]
        assert signature not in audit
        assert signature not in jwt_dev.log
