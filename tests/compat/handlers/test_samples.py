"""The document's example backends, word for word; what a sample omits is added in a module beside it."""

import hashlib
import json
import time
from pathlib import Path

import jwt
import pyotp
import pytest
import requests
from samples import SAMPLES, sample

from harness.programs import Program, clean_environment, free_port, node_binary, node_modules, wait_until
from harness.recorder import Recorder
from test_contract import ask, user_of


@pytest.fixture
def documents(project):
    for file in SAMPLES:
        (project.home / file).parent.mkdir(exist_ok=True)
        (project.home / file).write_text(sample(file))
    return project


@pytest.mark.parametrize("python", ["bare", "real"])
def test_the_sample_backend_lets_a_known_token_in(documents, serve, python):
    documents.write(
        "mine.py",
        """
        from auth.custom import MyAuthBackend

        class Backend(MyAuthBackend):
            def verify_token(self, token):
                return {"id": "7", "username": "ann", "email": "ann@x.org", "roles": ["user"]} if token == "known" else None
        """,
    )
    server = serve(documents.use("mine:Backend"), python)
    user = user_of(server, token="known")
    assert (user["user_id"], user["username"], user["email"]) == ("7", "ann", "ann@x.org")
    unknown = ask(server, token="unknown")
    assert (unknown.status_code, unknown.json()["detail"]) == (401, "Invalid authentication credentials")


def test_api_keys_are_looked_up_by_their_hash_and_their_permissions_hold(documents, serve):
    keys = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("first-key", "second-key")}
    text = (documents.home / "auth/api_key.py").read_text()
    text = text.replace("hashed_key_1", keys["first-key"]).replace("hashed_key_2", keys["second-key"])
    (documents.home / "auth/api_key.py").write_text(text)
    server = serve(documents.use("auth.api_key:APIKeyAuth"))
    user = user_of(server, token="first-key")
    assert (user["user_id"], user["name"], user["permissions"]) == ("user1", "Service Account 1", ["read", "write"])
    assert ask(server, token="second-key").status_code == 200
    assert ask(server, "POST", "/threads", token="second-key").status_code == 403
    unknown = ask(server, token="third-key")
    assert (unknown.status_code, unknown.json()["detail"]) == (401, "Invalid API key")


def test_an_oauth_server_is_asked_who_it_is(documents, serve):
    state = {"status": 200, "wait": 0.0}

    def answer(request):
        time.sleep(state["wait"])
        if request.all("authorization") != ["Bearer good"]:
            return 401, {"error": "invalid_token"}
        return state["status"], {"sub": "ann", "email": "ann@x.org", "name": "Ann", "picture": "p.png"}

    with Recorder(answer=answer) as recorder:
        documents.write(
            "mine.py",
            f"""
            from auth.oauth import OAuth2Auth

            class Backend(OAuth2Auth):
                def __init__(self):
                    self.oauth_server = "{recorder.url}"
            """,
        )
        server = serve(documents.use("mine:Backend"), "ours", more="timeout_ms = 1000")
        user = user_of(server, token="good")
        assert [user[name] for name in ("user_id", "email", "name", "picture")] == ["ann", "ann@x.org", "Ann", "p.png"]
        bad = ask(server, token="bad")
        assert (bad.status_code, bad.json()["detail"]) == (401, "Invalid OAuth token")
        state["wait"] = 3.0
        assert ask(server, token="good").status_code == 503, "it hangs"
    assert ask(server, token="good").status_code == 503, "it is gone"


@pytest.fixture
def provider(tmp_path):
    """npm `oidc-provider`, whose userinfo endpoint the sample asks; its address."""
    port = free_port()
    program = Program(
        [node_binary(), Path(__file__).parent / "app" / "userinfo.cjs", port],
        log=tmp_path / "provider.log", environment=clean_environment(NODE_PATH=str(node_modules("oidc-provider"))), cwd=tmp_path,
    )

    def ready() -> bool:
        program.require_running()
        return "ready" in program.output

    wait_until(ready, "the provider")
    yield f"http://127.0.0.1:{port}"
    program.stop()


def test_a_real_providers_token_is_whom_its_userinfo_says(documents, serve, provider):
    documents.write(
        "mine.py",
        f"""
        from auth.oauth import OAuth2Auth

        class Backend(OAuth2Auth):
            def __init__(self):
                self.oauth_server = "{provider}"
        """,
    )
    server = serve(documents.use("mine:Backend"), "ours")
    token = requests.get(f"{provider}/_test/token?sub=ann", timeout=10).text
    user = user_of(server, token=token)
    expected = ["ann", "ann@company.example", "The ann", "https://company.example/ann.png"]
    assert [user[name] for name in ("user_id", "email", "name", "picture")] == expected
    other = requests.get(f"{provider}/_test/token?sub=ann&scope=api", timeout=10).text
    requests.post(f"{provider}/_test/revoke", params={"token": token}, timeout=10).raise_for_status()
    for refused in (other, token, f"{token}x"):
        answer = ask(server, token=refused)
        assert (answer.status_code, answer.json()["detail"]) == (401, "Invalid OAuth token")


DATABASE = """
    from sqlalchemy import Boolean, Column, ForeignKey, String, create_engine
    from sqlalchemy.orm import declarative_base, relationship, sessionmaker

    import auth.database
    from auth.database import DatabaseAuth

    Base = declarative_base()

    class Role(Base):
        __tablename__ = "role"
        name = Column(String, primary_key=True)
        owner = Column(String, ForeignKey("user.id"), primary_key=True)

    class User(Base):
        __tablename__ = "user"
        id = Column(String, primary_key=True)
        username = Column(String)
        email = Column(String)
        is_active = Column(Boolean)
        roles = relationship(Role)

        def get_permissions(self):
            return ["read", "write"]

    auth.database.User = User

    class Backend(DatabaseAuth):
        def get_db_connection(self):
            from sqlalchemy.pool import StaticPool
            engine = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
            Base.metadata.create_all(engine)
            session = sessionmaker(engine)()
            session.add(User(id="7", username="ann", email="ann@x.org", is_active=True, roles=[Role(name="premium")]))
            session.add(User(id="8", username="bob", email="bob@x.org", is_active=False))
            session.commit()
            return session
"""


def signed(user_id: str | None, key: str = "your-secret-key", age: int = 0) -> str:
    claims = {"exp": int(time.time()) + 60 - age, **({"user_id": user_id} if user_id else {})}
    return jwt.encode(claims, key, "HS256")


def test_a_database_of_ones_own_says_who_is_active(documents, serve):
    documents.write("mine.py", DATABASE)
    server = serve(documents.use("mine:Backend"), "ours")
    user = user_of(server, token=signed("7"))
    assert [user[name] for name in ("user_id", "username", "email", "roles", "permissions")] == [
        "7", "ann", "ann@x.org", ["premium"], ["read", "write"]
    ]
    for token, detail in [
        (signed("8"), "User not found or inactive"),
        (signed("9"), "User not found or inactive"),
        (signed("7", age=3600), "Token has expired"),
        (signed("7", key="another key of the same length!"), "Invalid token"),
        ("junk", "Invalid token"),
    ]:
        refused = ask(server, token=token)
        assert (refused.status_code, refused.json()["detail"]) == (401, detail)
    assert ask(server, token=signed(None)).status_code == 503, "the sample raises KeyError: not let in, never 500"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_factor_glued_to_the_token_is_good_once(documents, serve, workers):
    """The sample itself is word for word: `pyotp.TOTP(...).verify(code)` says yes to a code again, in its own process and in any."""
    step, secrets = whole_step(), two_secrets_with_one_code()
    documents.write(
        "mine.py",
        f"""
        import jwt
        from auth.mfa import MFAAuth
        from fastapi import HTTPException

        class Backend(MFAAuth):
            def verify_jwt(self, token):
                try:
                    claims = jwt.decode(token, "your-secret-key", algorithms=["HS256"])
                except jwt.InvalidTokenError:
                    raise HTTPException(401, "Invalid token")
                return {{"user_id": claims["user_id"], "username": "ann", "mfa_secret": {secrets!r}[int(claims["user_id"])]}}
        """,
    )
    server = serve(documents.use("mine:Backend"), "ours", more=f"workers = {workers}")
    code = pyotp.TOTP(secrets[0]).at(step)
    for token, detail in [
        (signed("0"), "Invalid token format. Expected: jwt:mfa_code"),
        (f"{signed('0')}:1:2", "Invalid token format. Expected: jwt:mfa_code"),
        (f"{signed('0')}:{(int(code) + 1) % 10**6:06}", "Invalid MFA code"),
    ]:
        refused = ask(server, token=token)
        assert (refused.status_code, refused.json()["detail"]) == (401, detail), token
    user = user_of(server, token=f"{signed('0')}:{code}")
    assert (user["user_id"], user["mfa_verified"]) == ("0", True)
    for _ in range(2 * workers + 1):
        refused = ask(server, token=f"{signed('0')}:{code}")
        assert (refused.status_code, refused.json()["detail"]) == (401, "Invalid MFA code")
    assert user_of(server, token=f"{signed('1')}:{code}")["user_id"] == "1", "somebody else's code of the same digits"


def whole_step():
    """The time, with enough left of its 30 seconds for a test."""
    left = 30 - time.time() % 30
    if left < 15:
        time.sleep(left + 0.05)
    return time.time()


def two_secrets_with_one_code():
    seen = {}
    while True:
        secret = pyotp.random_base32()
        other = seen.setdefault(pyotp.TOTP(secret).now(), secret)
        if other != secret:
            return [other, secret]


def test_firebase_tokens_are_verified_by_its_library(documents, serve):
    """A stand-in for `firebase_admin` says what the library would; the sample is the document's."""
    documents.write("firebase_admin/__init__.py", "def initialize_app(cred):\n    print('initialized', cred)\n")
    documents.write("firebase_admin/credentials.py", "def Certificate(path):\n    return path\n")
    documents.write(
        "firebase_admin/auth.py",
        """
        def verify_id_token(token):
            if token == "expired":
                raise ValueError("Token expired, 1700000000 < 1800000000")
            if token == "other project":
                raise ValueError('incorrect "aud" (audience) claim. Expected "mine" but got "theirs"')
            if token != "good":
                raise ValueError("Wrong number of segments in token")
            return {"uid": "ann", "email": "ann@x.org", "email_verified": True, "name": "Ann"}
        """,
    )
    server = serve(documents.use("auth.firebase:FirebaseAuth"))
    user = user_of(server, token="good")
    assert [user[name] for name in ("user_id", "email", "email_verified", "name")] == ["ann", "ann@x.org", True, "Ann"]
    for token, why in [("bad", "Wrong number of segments"), ("expired", "Token expired"), ("other project", "incorrect \"aud\" (audience) claim")]:
        bad = ask(server, token=token)
        assert (bad.status_code, bad.json()["detail"]) == (401, "Invalid Firebase token: ...")
        assert why not in bad.text and "Traceback" not in bad.text
        wait_until(lambda why=why: f"refused: ValueError: {why}" in server.log, "the reason in the log")


def test_auth0_tokens_are_verified_by_their_published_keys(project, serve):
    """A backend as Auth0's own documentation writes it: RS256 by JWKS, issuer and audience."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from jwt.algorithms import RSAAlgorithm

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = {**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": "one", "alg": "RS256", "use": "sig"}
    with Recorder(answer=lambda request: (200, {"keys": [public]})) as recorder:
        project.write(
            "auth/auth0.py",
            f"""
            import jwt
            from agentflow_cli import BaseAuth
            from fastapi import HTTPException

            class Auth0(BaseAuth):
                def __init__(self):
                    self.keys = jwt.PyJWKClient("{recorder.url}/.well-known/jwks.json")

                def authenticate(self, res, credential):
                    try:
                        key = self.keys.get_signing_key_from_jwt(credential.credentials)
                        claims = jwt.decode(
                            credential.credentials, key.key, algorithms=["RS256"],
                            audience="https://api.example", issuer="https://tenant.example/",
                        )
                    except jwt.PyJWTError as error:
                        raise HTTPException(401, "Invalid token") from error
                    return {{"user_id": claims["sub"]}}
            """,
        )
        server = serve(project.use("auth.auth0:Auth0"), "ours")
        claims = {"iss": "https://tenant.example/", "aud": "https://api.example", "sub": "auth0|ann", "exp": int(time.time()) + 60}

        def made(**changes) -> str:
            return jwt.encode({**claims, **changes}, key, "RS256", headers={"kid": "one"})

        assert user_of(server, token=made())["user_id"] == "auth0|ann"
        for bad in (made(aud="https://other"), made(iss="https://evil.example/"), made(exp=1), "junk"):
            refused = ask(server, token=bad)
            assert (refused.status_code, refused.json()["detail"]) == (401, "Invalid token")
