"""Every public method of both clients: driven by a test of this directory, or named here with what it waits for. L-045."""

import re
from pathlib import Path

import pytest
from supabase_auth import SyncGoTrueClient
from supabase_auth.errors import AuthApiError

from harness.auth_js import run
from harness.supabase import PASSWORD, Supabase, address, link_of, open_link

HERE = Path(__file__).parent

OAUTH = "log-ins through providers, and Doorward as a provider"
SSO = "single sign-on"
SECOND = "second factors"
PASSKEY = "passkeys"
WEB3 = "wallets"
LOCAL = "asks no server"

#: What no test drives, and why. A method of neither this table nor a test fails the tests below.
LEFT_JS = {
    "signInWithOAuth": OAUTH, "linkIdentityOAuth": OAUTH, "linkIdentityIdToken": OAUTH,
    **{f"oauth.{name}": OAUTH for name in ("getAuthorizationDetails", "approveAuthorization", "denyAuthorization", "listGrants", "revokeGrant")},
    **{f"admin.oauth.{name}": OAUTH for name in ("listClients", "createClient", "getClient", "updateClient", "deleteClient", "regenerateClientSecret")},
    **{f"admin.customProviders.{name}": OAUTH for name in ("listProviders", "createProvider", "getProvider", "updateProvider", "deleteProvider")},
    **{f"mfa.webauthn.{name}": SECOND for name in ("enroll", "challenge", "verify", "authenticate", "register")},
    **{f"mfa.recoveryCodes.{name}": SECOND for name in ("generate", "regenerate", "verify", "unenroll", "getStatus")},
    "admin.mfa.deleteFactor": SECOND,
    **{f"passkey.{name}": PASSKEY for name in ("startRegistration", "verifyRegistration", "startAuthentication", "verifyAuthentication", "list", "update", "delete")},
    **{f"admin.passkey.{name}": PASSKEY for name in ("listPasskeys", "deletePasskey")},
    "signInWithPasskey": PASSKEY, "registerPasskey": PASSKEY, "signInWithEthereum": WEB3, "signInWithSolana": WEB3,
    **dict.fromkeys(("fetch", "logger", "admin.fetch", "isThrowOnErrorEnabled"), LOCAL),
    "fetchJwk": "getClaims calls it",
}
LEFT_PYTHON = {
    "sign_in_with_oauth": OAUTH, "sign_in_with_id_token": OAUTH, "link_identity": OAUTH, "unlink_identity": OAUTH, "sign_in_with_sso": SSO,
    **{f"admin.oauth.{name}": OAUTH for name in ("create_client", "delete_client", "get_client", "list_clients", "regenerate_client_secret", "update_client")},
    **{f"mfa.{name}": SECOND for name in ("challenge", "challenge_and_verify", "enroll", "unenroll", "verify")},
    "admin.mfa.delete_factor": SECOND,
}


def calls(*files: str) -> set[str]:
    """Last names of methods that files call, such as `mfa.enroll`, `admin.createUser` and `signUp`."""
    text = "\n".join((HERE / file).read_text() for file in files)
    found = set(re.findall(r"\.(\w+)\(", text))
    return found | {".".join(pair) for pair in re.findall(r"\b(admin|mfa)\.(\w+)\(", text)} | {
        f"admin.mfa.{name}" for name in re.findall(r"\badmin\.mfa\.(\w+)\(", text)
    }


def unaccounted(methods: list[str], left: dict[str, str], called: set[str]) -> tuple[set[str], set[str]]:
    """Methods that nobody calls and no reason is given for, and reasons for what is no method or is called."""
    rest = set(methods) - set(left)
    return {name for name in rest if name not in called}, {name for name in left if name not in methods or ("." in name and name in called)}


def test_every_method_of_the_npm_client_is_driven_or_waits_for_something(supabase):
    methods = run(supabase, "methods")
    assert len(methods) > 60 and "mfa.webauthn.enroll" in methods and "admin.createUser" in methods
    assert unaccounted(methods, LEFT_JS, calls("app/auth.cjs")) == (set(), set())


def public(part, path: str = "") -> list[str]:
    names = []
    for name in (name for name in dir(part) if not name.startswith("_")):
        value = getattr(part, name)
        if callable(value):
            names.append(path + name)
        elif type(value).__module__.startswith("supabase_auth"):
            names += public(value, f"{path}{name}.")
    return names


def test_every_method_of_the_python_client_is_driven_or_waits_for_something():
    methods = public(SyncGoTrueClient(url="http://127.0.0.1:9"))
    assert len(methods) > 40 and "admin.mfa.list_factors" in methods
    called = calls("test_clients.py", "test_methods.py", "test_pkce.py")
    assert unaccounted(methods, LEFT_PYTHON, called) == (set(), set())


def test_a_method_that_nobody_drives_is_found():
    assert unaccounted(["signUp", "admin.new", "old"], {"old": LOCAL, "gone": LOCAL}, {"signUp", "new"}) == ({"admin.new"}, {"gone"})


def test_what_the_other_tests_of_the_npm_client_leave_out(supabase, person):
    out = run(supabase, "rest", email=person.email, password=PASSWORD, key=supabase.service_key)
    assert out["initialize"]["error"] is None and out["taken"]["error"] is None and out["kept"]["data"]["session"]["user"]["email"] == person.email
    assert out["level"]["data"]["currentLevel"] == out["level"]["data"]["nextLevel"] == "aal1"
    assert out["factors"]["error"] is None
    codes = {name: answer["error"]["code"] for name, answer in out["refused"].items()}
    assert codes == {
        "sso": "saml_provider_disabled", "link": "manual_linking_disabled", "unlink": "manual_linking_disabled", "web3": "web3_provider_disabled",
        "challenge": "mfa_factor_not_found", "verify": "mfa_factor_not_found", "both": "mfa_factor_not_found", "unenroll": "mfa_factor_not_found",
    }
    assert out["ended"]["error"] is None and out["after"]["error"], "an administrator ends the sessions"


def test_what_the_other_tests_of_the_python_client_leave_out(supabase: Supabase):
    def client(**more) -> SyncGoTrueClient:
        headers = {"apikey": supabase.anon_key, "Authorization": f"Bearer {supabase.anon_key}"}
        return SyncGoTrueClient(url=supabase.auth_url, headers=headers, **more)

    email, events = address(), []
    auth = client()
    auth.initialize()
    auth.initialize_from_storage()
    subscription = auth.on_auth_state_change(lambda event, session: events.append(event))
    auth.sign_up({"email": email, "password": PASSWORD})
    place = open_link(link_of(supabase.mail(email))).headers["Location"]
    auth.initialize_from_url(place)
    assert auth.get_session().user.email == email and "SIGNED_IN" in events
    subscription.unsubscribe()
    assert auth.mfa.list_factors().all == [] and auth.mfa.get_authenticator_assurance_level().current_level == "aal1"
    # Each asks for the same letter; the address was written to a moment ago.
    for ask in (auth.reset_password_for_email, auth.reset_password_email):
        with pytest.raises(AuthApiError) as raised:
            ask(email)
        assert raised.value.code == "over_email_send_rate_limit"
    auth.reset_password_for_email(address())
    auth.reset_password_email(address())
    auth.admin.close()
    auth.close()
