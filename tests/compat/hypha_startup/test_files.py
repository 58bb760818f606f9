"""Start-up files: how they are loaded, what they may register, and what comes of everything else (H-039 to H-047, H-081 to H-084)."""

import asyncio

import pytest


async def test_functions_run_in_order_in_one_process_from_files_and_modules(files):
    text = """
        import logging
        SEEN = []
        async def hypha_startup(server):
            SEEN.append("first")
            logging.getLogger(__name__).info("begun in %s", server.config.workspace)
        async def second(server):
            SEEN.append("second")
            await server.register_auth_service(get_token=lambda scope: ",".join(SEEN))
    """
    package = "import my_auth\nasync def third(server):\n    my_auth.SEEN.append('third')\n"
    async with files({"my_auth.py": text, "pkg/__init__.py": "", "pkg/mod.py": package}, "my_auth.py:hypha_startup", "my_auth.py:second", "pkg.mod:third") as running:
        first = running.process.first
        assert first["registers"] == ["start-up function my_auth.py:hypha_startup", "start-up function my_auth.py:second", "start-up function pkg.mod:third"]
        assert {file.rsplit("/", 1)[-1] for file in first["files"]} == {"my_auth.py", "mod.py", "__init__.py"}
        told = await running.begun()
        assert told["hooks"] == ["get_token"] and told["login"] is None and told["login_app"] is None
        assert told["registers"] == ["get_token (my_auth.py:9)"]
        assert await running.scoped() == "first,second,third"
        assert (await running.call("startup"))["invalid"] == "startup was called before"
        assert f"INFO my_auth: begun in {running.bridge.info['workspace']}" in await asyncio.to_thread(running.process.ended)


@pytest.mark.parametrize(
    ("text", "what", "where"),
    [
        ("def hypha_startup(server):\n    pass\n", "is no async def", "my_auth.py:1"),
        ("\nasync def hypha_startup():\n    pass\n", "one argument, the server", "my_auth.py:2"),
        ("hypha_startup = 7\n", "is no async def", None),
        ("x = 1\n", "my_auth.py has no hypha_startup", None),
        ("import nonsense_that_is_not_there\n", "it imports nonsense_that_is_not_there", "my_auth.py:1"),
        ("x =\n", "SyntaxError", "my_auth.py:1"),
        ("from hypha.core import Nonsense\n", "cannot import name 'Nonsense'", "my_auth.py:1"),
        ("import hypha.artifact\n", "it imports hypha.artifact", "my_auth.py:1"),
    ],
)
async def test_a_file_that_cannot_be_used_says_why_and_where(files, text, what, where):
    async with files({"my_auth.py": text}) as running:
        broken = running.process.first["broken"]
        assert what in broken["what"] and broken["where"] == where


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("    raise RuntimeError('no database')", "my_auth.py:2: RuntimeError: no database"),
        ("    await server.nothing_such()", "my_auth.py:2: AttributeError: server has no nothing_such"),
        ("    await server.register_auth_service(parse_token=7)", "my_auth.py:2: register_auth_service: parse_token is int, not a function"),
        ("    await server.register_auth_service(start_handler='x')", "my_auth.py:2: register_auth_service: start_handler is str, not a function"),
        ("    await server.register_auth_service(brand='Acme')", "my_auth.py:2: register_auth_service: brand is str, not a function"),
        ("    await server.register_auth_service(login_service=[1])", "my_auth.py:2: register_auth_service: login_service is list"),
        ("    await server.register_auth_service(\n        parse_token=lambda: 1)", "my_auth.py:3: parse_token(…) cannot be called"),
        ("    await server.register_auth_service(generate_token=lambda user: 1)", "my_auth.py:2: generate_token(…, …) cannot be called"),
        ("    await server.register_auth_service(start_handler=lambda: 1)", "my_auth.py:2: start(workspace=…, expires_in=…) cannot be called"),
        ("    await server.register_auth_service(check_handler=lambda key: 1)", "my_auth.py:2: check(…, timeout=…, profile=…) cannot be called"),
        ("    await server.register_auth_service(report_handler=lambda key: 1)", "my_auth.py:2: report(key=…, token=…) cannot be called"),
        ("    await server.register_auth_service(index_handler=lambda: 1)", "my_auth.py:2: index(…) cannot be called"),
        ("    await server.register_service({'id': 'a b'})", "my_auth.py:2: ValueError: 'a b' is no id of a service"),
        ("    await server.set_login_service(None)", "my_auth.py:2: set_login_service takes an ASGI application"),
    ],
)
async def test_a_function_that_fails_says_why_and_where(files, body, said):
    async with files({"my_auth.py": f"async def hypha_startup(server):\n{body}\n"}) as running:
        assert (await running.call("startup"))["invalid"].startswith(said)


async def test_no_arguments_change_nothing_and_none_is_no_hook(files):
    async with files({"my_auth.py": "async def hypha_startup(server):\n    await server.register_auth_service()\n    await server['register_auth_service'](parse_token=None, index_handler=None)\n"}) as running:
        assert await running.begun() == {"hooks": [], "login": None, "login_app": None, "registers": []}
        assert "no start-up function registered parse_token" in (await running.call("parse_token", token="x"))["invalid"]


FORMS = {
    "coroutine": "async def hook(one, two=None):\n    return made(one)\n",
    "function": "def hook(one, two=None):\n    return made(one)\n",
    "lambda": "async def later(one):\n    return made(one)\nhook = lambda one, two=None: later(one)\n",
    "partial": "import functools\nasync def three(mark, one, two=None):\n    return made(one)\nhook = functools.partial(three, 'x')\n",
    "method": "class Auth:\n    async def hook(self, one, two=None):\n        return made(one)\nhook = Auth().hook\n",
    "object": "class Auth:\n    def __call__(self, one, two=None):\n        return made(one)\nhook = Auth()\n",
}


@pytest.mark.parametrize("form", FORMS)
async def test_hooks_are_taken_in_every_form_and_each_alone(files, form):
    text = """
from hypha.core import UserInfo
def made(one):
    return UserInfo(id=one) if isinstance(one, str) else one.id if isinstance(one, UserInfo) else one["path"]
""" + FORMS[form]
    async def asks(name, running):
        return {
            "parse_token": lambda: running.call("parse_token", token="tok"),
            "generate_token": lambda: running.call("generate_token", user={"id": "ann"}, expires_in=60),
            "get_token": lambda: running.call("get_token", scope={"type": "http", "method": "GET", "path": "/p", "query": "", "headers": [], "client": None}),
        }[name]()

    for name in ("parse_token", "generate_token", "get_token"):
        startup = f"async def hypha_startup(server):\n    await server.register_auth_service({name}=hook)\n"
        async with files({"my_auth.py": text + startup}) as running:
            assert (await running.begun())["hooks"] == [name]
            answer = (await (await asks(name, running)))["answer"]
            assert answer.get("token") in ("ann", "/p") or answer["user"]["id"] == "tok"


async def test_hooks_are_set_by_their_own_functions_too_and_not_after_the_start(files):
    text = """
        import asyncio
        from hypha.core import UserInfo
        from hypha.core.auth import set_get_token_function
        LATER = []
        async def hypha_startup(server):
            await server["set_parse_token_function"](lambda token: UserInfo(id=token))
            await server.set_generate_token_function(lambda user, n: f"{user.id}.{n}")
            await set_get_token_function(lambda scope: LATER[0] if LATER else None)
            async def later():
                await asyncio.sleep(0.05)
                try:
                    await server.register_auth_service(parse_token=lambda token: UserInfo(id="changed"))
                except RuntimeError as error:
                    await server.register_service({"id": "later", "say": lambda: "a service may come later"})
                    LATER.append(str(error))
            asyncio.create_task(later())
    """
    async with files({"my_auth.py": text}) as running:
        assert (await running.begun())["hooks"] == ["parse_token", "generate_token", "get_token"]
        assert (await running.call("generate_token", user={"id": "ann"}, expires_in=60))["answer"] == {"token": "ann.60"}
        async with asyncio.timeout(20):
            while not (said := await running.scoped()):
                await asyncio.sleep(0.02)
        assert "counts only until the start-up functions are done" in said
        assert (await running.user("x"))["id"] == "x"


async def test_scopes_are_asgis_for_http_and_websockets(files):
    text = """
        import json
        def get_token(scope):
            pairs = [(type(k).__name__, type(v).__name__, k.decode(), v.decode("latin-1")) for k, v in scope["headers"]]
            kept = {name: scope.get(name) for name in ("type", "method", "path", "scheme", "client")}
            return json.dumps([kept, pairs, repr(scope["query_string"]), repr(scope["raw_path"])])
        async def hypha_startup(server):
            await server.register_auth_service(get_token=get_token)
    """
    import json

    async with files({"my_auth.py": text}) as running:
        await running.begun()
        kept, pairs, query, raw = json.loads(await running.scoped(("x-name", "välue"), method="POST", path="/a b", query="token=1"))
        assert kept == {"type": "http", "method": "POST", "path": "/a b", "scheme": "http", "client": ["192.0.2.7", 0]}
        assert (query, raw) == ("b'token=1'", "b'/a b'") and pairs == [["bytes", "bytes", "x-name", "välue"]]
        kept = json.loads(await running.scoped(type="websocket"))[0]
        assert (kept["type"], kept["method"], kept["scheme"]) == ("websocket", None, "ws")


async def test_an_answer_of_parse_token_that_is_no_user_names_field_hook_and_file(files):
    text = """
        from hypha.core import UserInfo
        WRONG = UserInfo(id="x")
        WRONG.email = "nobody"
        ANSWERS = {"none": None, "dict": {"id": "x"}, "str": "x", "field": WRONG}
        async def hypha_startup(server):
            await server.register_auth_service(parse_token=lambda token: ANSWERS[token])
    """
    async with files({"my_auth.py": text}) as running:
        await running.begun()
        for token, what in (("none", "a UserInfo, it gave NoneType"), ("dict", "a UserInfo, it gave dict"), ("str", "a UserInfo, it gave str"), ("field", "a UserInfo: email: it is no e-mail address")):
            assert (await running.call("parse_token", token=token))["invalid"] == f"parse_token of my_auth.py must give {what}"


async def test_an_answer_of_generate_token_that_is_no_token_fails_that_call_alone(files):
    text = """
        ANSWERS = {1: b"bytes", 2: None, 3: "", 4: "two words", 5: "x" * 20000, 6: "line\\nline", 7: {}, 8: "good"}
        async def hypha_startup(server):
            await server.register_auth_service(generate_token=lambda user, n: ANSWERS[n])
    """
    async with files({"my_auth.py": text}) as running:
        await running.begun()
        given = {1: "bytes", 2: "NoneType", 7: "dict"}
        for n in range(1, 8):
            said = (await running.call("generate_token", user={"id": "ann"}, expires_in=n))["invalid"]
            assert said.startswith("generate_token of my_auth.py must give a str")
            assert n not in given or said.endswith(f", it gave {given[n]}")
        assert (await running.call("generate_token", user={"id": "ann"}, expires_in=8))["answer"] == {"token": "good"}


async def test_refusals_and_faults_of_parse_token_are_told_apart(files):
    text = """
        from fastapi import HTTPException
        def parse_token(token):
            raise {
                "value": ValueError("Invalid token"), "key": KeyError("no such session"), "bare": Exception("Too many\\n tries " + "x" * 400),
                "denied": PermissionError("not here"), "late": TimeoutError("late"), "http": HTTPException(403, "forbidden"),
                "odd": HTTPException(500, "odd"), "type": TypeError("bug"), "name": NameError("bug"), "os": OSError("disk"),
            }[token]
        async def hypha_startup(server):
            await server.register_auth_service(parse_token=parse_token, get_token=lambda scope: parse_token(scope["path"]))
    """
    async with files({"my_auth.py": text}) as running:
        await running.begun()
        for token, status, detail in (("value", 401, "Invalid token"), ("key", 401, "no such session"), ("denied", 401, "not here"), ("late", 401, "late"), ("http", 403, "forbidden"), ("odd", 401, "odd")):
            assert await running.refused(token) == (status, detail)
        status, detail = await running.refused("bare")
        assert status == 401 and detail.startswith("Too many tries xxx") and len(detail) == 300
        for token, fault in (("type", "TypeError"), ("name", "NameError"), ("os", "OSError")):
            assert (await running.call("parse_token", token=token))["fault"].startswith(f"{fault} at my_auth.py:")
        assert (await running.call("get_token", scope={"type": "http", "path": "value", "headers": []}))["refuse"]["detail"] == "Invalid token"


async def test_a_user_of_doorwards_is_known_again_and_a_changed_one_is_marked(files):
    text = """
        from hypha.core import UserInfo
        from hypha.core.auth import _parse_token, parse_auth_token
        async def parse_token(token):
            if token == "own":
                return UserInfo(id="own")
            user = _parse_token(token) if token != "later" else await parse_auth_token("Bearer good")
            if token == "change":
                user.roles.append("admin")
            return user.model_copy() if token == "copy" else user
        async def hypha_startup(server):
            await server.register_auth_service(parse_token=parse_token)
    """
    async with files({"my_auth.py": text}) as running:
        for token in ("good", "change", "copy"):
            running.tokens.add(token, email="ann@example.com")
        await running.begun()
        for token, expected in (("good", ("handle of good", False)), ("Bearer good", ("handle of good", False)), ("change", ("handle of change", True)), ("copy", ("handle of copy", False)), ("later", ("handle of good", False)), ("own", (None, False))):
            answer = (await running.call("parse_token", token=token))["answer"]
            assert (answer["of"], answer.get("changed", False)) == expected, token
        assert await running.refused("junk") == (401, "not one of ours")


async def test_the_login_service_has_handlers_extras_and_context_where_it_is_taken(files):
    text = """
        import functools
        def who(context=None):
            return context and [context["user"]["id"], context["ws"]]
        async def plain(a, b=2):
            return [a, b]
        def everything(**kwargs):
            return sorted(kwargs)
        async def hypha_startup(server):
            await server.register_auth_service(
                logout_handler=lambda config=None: {"logout_url": "/bye"}, who=who, plain=plain, everything=everything,
                later=lambda context=None, **kwargs: plain(**kwargs), partly=functools.partial(plain, b=7),
            )
    """
    async with files({"my_auth.py": text}) as running:
        told = await running.begun()
        client = f"{running.bridge.info['workspace']}/{running.bridge.info['client_id']}"
        assert told["login"] == {"service": f"{client}:start-up-login", "methods": ["everything", "later", "logout", "logout_handler", "partly", "plain", "who"]}
        assert await running.login("logout", {}) == await running.login("logout_handler") == {"logout_url": "/bye"}
        assert await running.login("who") == ["somebody", "ws-anonymous"]
        assert await running.login("who", context={"user": {"id": "root"}}) == ["somebody", "ws-anonymous"]
        assert await running.login("plain", 1) == [1, 2] and await running.login("plain", a=1, b=3) == [1, 3]
        assert await running.login("everything", x=1) == ["context", "x"] and await running.login("later", a=5) == [5, 2]
        assert await running.login("partly", 1) == [1, 7]
        # Only the hub reaches it: it alone has looked at what a caller reports.
        for sender in ("ws-anonymous/somebody", f"{running.bridge.info['workspace']}/another", "public/another"):
            for method in ("services.start-up-login.who", "services.built-in.get_service"):
                main, error = await running.bridge.asked(method, *(["start-up-login"] if "built-in" in method else []), sender=sender)
                assert main["method"].endswith(".reject") and "Permission denied" in error["_rvalue"]


async def test_a_whole_login_service_and_a_page_of_its_own(files):
    text = """
        async def page(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
        async def hypha_startup(server):
            await server["set_login_service"](page)
            await server.register_auth_service(login_service={"id": "hypha-login", "type": "functions", "config": {}, "start": lambda workspace=None, expires_in=None: {"key": "k"}})
    """
    async with files({"my_auth.py": text}) as running:
        told = await running.begun()
        assert told["login"]["methods"] == ["start"] and told["login_app"].endswith(":start-up-login-page")
        assert told["registers"] == ["login service: start", "login page (my_auth.py:2)"]
        assert await running.login("start") == {"key": "k"}


async def test_waiting_hooks_and_methods_hold_nobody_up(files):
    text = """
        import time
        from hypha.core import UserInfo
        def check(key, timeout=180, profile=False):
            while timeout > 0:
                time.sleep(0.05)
                timeout -= 0.05
            return "late"
        async def hypha_startup(server):
            await server.register_auth_service(check_handler=check, parse_token=lambda token: UserInfo(id=token))
    """
    async with files({"my_auth.py": text}) as running:
        await running.begun()
        waiting = [asyncio.ensure_future(running.login("check", "k")) for _ in range(20)]
        for number in range(30):
            assert (await running.user(f"u{number}"))["id"] == f"u{number}"
        assert not any(one.done() for one in waiting)
        for one in waiting:
            one.cancel()


async def test_nothing_of_the_real_package_is_used_and_its_names_are_ours(files):
    pretending = "raise RuntimeError('the real package was loaded')\n"
    text = """
        import hypha.core.auth, hypha.utils
        from hypha.core import auth, UserInfo
        async def hypha_startup(server):
            assert hypha.core.auth is auth and hypha.core.UserInfo is auth.UserInfo
    """
    places = {f"hypha/{name}.py": pretending for name in ("__init__", "core", "utils")}
    async with files({**places, "my_auth.py": text}, "my_auth.py:hypha_startup") as running:
        await running.begun()


async def test_names_that_nothing_gives_are_told_with_their_line(files):
    text = """
        import os
        LATER = None
        def sets():
            global LATER_TOO
            LATER_TOO = 1
        class Auth:
            async def parse_token(self, token):
                return time.time() + os.getpid() + LATER_TOO + len([one for one in token if uuid.uuid4()])
        async def hypha_startup(server):
            try:
                never_given
            except NameError:
                print(__name__, __file__)
    """
    async with files({"my_auth.py": text}) as running:
        told = (await running.begun())["registers"]
        assert told == [f"my_auth.py:{line}: nothing is named {name}: is an import missing?" for line, name in ((9, "time"), (9, "uuid"), (12, "never_given"))]
        assert "WARNING my_auth.py:9: nothing is named time" in await asyncio.to_thread(running.process.ended)


async def test_the_files_service_is_called_by_the_hub_and_by_other_clients(files, person):
    text = """
        async def hypha_startup(server):
            await server.register_service({
                "id": "from-a-file", "config": {"visibility": "public", "require_context": True},
                "greet": lambda name, context=None: f"hello {name} of {context['user']['id']}",
            })
    """
    async with files({"my_auth.py": text}) as running:
        assert (await running.begun())["registers"] == ["service from-a-file (public)"]
        async with running.bridge.hub.enter(person) as other:
            service = await other.get_service(f"{running.bridge.info['workspace']}/{running.bridge.info['client_id']}:from-a-file")
            assert await service.greet("ann") == f"hello ann of {person.id}"
