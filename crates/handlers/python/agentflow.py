"""AgentFlow's custom authentication: a class that extends `agentflow_cli.BaseAuth` (packages 0.1.7 to 0.6.1 and the document)."""

import inspect
import sys

from _doorward_runner import Broken, Invalid, Loaded, Refuse, asgi_scope, load_attribute, place, user_code


def load(target, directory):
    cls = load_attribute(target, directory)
    from agentflow_cli import BaseAuth

    if not (isinstance(cls, type) and issubclass(cls, BaseAuth)):
        raise Broken(f"{target.partition(':')[2]} is no class that extends agentflow_cli.BaseAuth")
    try:
        backend = cls()
    except TypeError as error:
        raise Broken(f"TypeError: {error}", place(error, directory)) from None
    except Exception as error:
        raise Broken(f"{cls.__name__}() fails: {type(error).__name__}: {error}", place(error, directory)) from None
    takes_request, run = wants_request(backend.authenticate), user_code(backend.authenticate)

    async def authenticate(given, in_thread):
        response = make_response()
        arguments = (response, make_credential(given.get("credential")))
        if takes_request:
            arguments = (make_request(given), *arguments)
        try:
            user = await run(in_thread, *arguments)
        except Exception as error:
            status = getattr(error, "status_code", None)
            if not isinstance(status, int) or isinstance(status, bool):
                raise
            own = getattr(error, "headers", None) or {}
            detail = getattr(error, "detail", None) or getattr(error, "message", None) or str(error)
            raise Refuse(status, without_what_was_handled(error, detail), [*own.items(), *set_on(response)]) from None
        if not isinstance(user, dict):
            raise Invalid(f"authenticate returned {type(user).__name__}; it returns a dict with user_id, or {{}} for nobody")
        return {"user": user, "headers": set_on(response)}

    registers = [f"{cls.__module__}.{cls.__name__}.authenticate({'request, response' if takes_request else 'response'}, credential)"]
    return Loaded({"authenticate": authenticate}, registers)


def without_what_was_handled(error, detail):
    """The detail without the text of the exception that user code was handling: callers learn that they are refused, the log learns why."""
    handled = error.__cause__ or error.__context__
    said = "" if handled is None or hasattr(handled, "status_code") else str(handled)
    if not isinstance(detail, str) or not said or said not in detail:
        return detail
    print(f"refused: {type(handled).__name__}: {said}", file=sys.stderr, flush=True)
    return detail.replace(said, "...")


def wants_request(function):
    """Whether it has the newer form, `(request, response, credential)`; the older one is `(res, credential)`."""
    positional = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(function).parameters.values())
    needed = [parameter for parameter in positional if parameter.default is parameter.empty]
    if variadic or len(positional) >= 3 >= len(needed):
        return True
    if len(positional) == 2:
        return False
    names = ", ".join(parameter.name for parameter in positional)
    raise Broken(f"authenticate takes ({names}); it takes (res, credential) or (request, response, credential)")


def make_response():
    from fastapi import Response

    return Response()


def set_on(response):
    """What the backend added to the response: every header but those that every response has."""
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers]
    return [[name, value] for name, value in pairs if name not in ("content-length", "content-type")]


def make_credential(given):
    if given is None:
        return None
    from fastapi.security import HTTPAuthorizationCredentials

    return HTTPAuthorizationCredentials(scheme=given["scheme"], credentials=given["credentials"])


def make_request(given):
    from fastapi import Request

    return Request(asgi_scope(given))
