"""Stands for the package where it is not installed: as much of it as an authentication backend uses."""

from http.cookies import SimpleCookie
from urllib.parse import parse_qsl


class HTTPException(Exception):
    def __init__(self, status_code, detail=None, headers=None):
        from http import HTTPStatus

        self.status_code = status_code
        self.detail = HTTPStatus(status_code).phrase if detail is None else detail
        self.headers = headers
        super().__init__(status_code, detail)


class Headers:
    """Names are compared without case; a name may stand more than once."""

    def __init__(self, raw=None):
        self.raw = raw if raw is not None else []

    def getlist(self, name):
        wanted = name.lower().encode("latin-1")
        return [value.decode("latin-1") for own, value in self.raw if own == wanted]

    def __getitem__(self, name):
        found = self.getlist(name)
        if not found:
            raise KeyError(name)
        return found[0]

    def __setitem__(self, name, value):
        wanted = name.lower().encode("latin-1")
        self.raw[:] = [pair for pair in self.raw if pair[0] != wanted]
        self.raw.append((wanted, str(value).encode("latin-1")))

    def __delitem__(self, name):
        wanted = name.lower().encode("latin-1")
        self.raw[:] = [pair for pair in self.raw if pair[0] != wanted]

    def __contains__(self, name):
        return bool(self.getlist(name))

    def __iter__(self):
        return iter(dict.fromkeys(name.decode("latin-1") for name, _ in self.raw))

    def __len__(self):
        return len(self.raw)

    def get(self, name, default=None):
        found = self.getlist(name)
        return found[0] if found else default

    def keys(self):
        return list(self)

    def items(self):
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.raw]

    def append(self, name, value):
        self.raw.append((name.lower().encode("latin-1"), str(value).encode("latin-1")))

    def setdefault(self, name, value):
        if name not in self:
            self[name] = value
        return self[name]

    def update(self, other):
        for name, value in dict(other).items():
            self[name] = value


class Response:
    def __init__(self, content=None, status_code=200, headers=None, media_type=None):
        self.status_code = status_code
        self.raw_headers = []
        self.headers = Headers(self.raw_headers)
        self.headers.update(headers or {})

    def set_cookie(
        self, key, value="", max_age=None, expires=None, path="/", domain=None, secure=False, httponly=False,
        samesite="lax", partitioned=False,
    ):
        cookie = SimpleCookie()
        cookie[key] = value
        for name, given in (("max-age", max_age), ("path", path), ("domain", domain), ("samesite", samesite)):
            if given is not None:
                cookie[key][name] = given
        if expires is not None:
            cookie[key]["expires"] = expires if isinstance(expires, (str, int)) else expires.strftime("%a, %d %b %Y %H:%M:%S GMT")
        if secure:
            cookie[key]["secure"] = True
        if httponly:
            cookie[key]["httponly"] = True
        self.headers.append("set-cookie", cookie.output(header="").strip())

    def delete_cookie(self, key, path="/", domain=None, secure=False, httponly=False, samesite="lax"):
        self.set_cookie(key, max_age=0, expires=0, path=path, domain=domain, secure=secure, httponly=httponly, samesite=samesite)


class QueryParams(dict):
    def __init__(self, text):
        self.pairs = parse_qsl(text, keep_blank_values=True)
        super().__init__(self.pairs)

    def getlist(self, name):
        return [value for own, value in self.pairs if own == name]

    def multi_items(self):
        return list(self.pairs)


class URL:
    def __init__(self, path, query):
        self.path = path
        self.query = query

    def __str__(self):
        return f"{self.path}?{self.query}" if self.query else self.path


class Address:
    def __init__(self, host, port):
        self.host = host
        self.port = port


class State:
    """Whatever is set on it."""


class Request:
    def __init__(self, scope):
        self.scope = scope
        self.method = scope["method"]
        self.headers = Headers([(name.lower(), value) for name, value in scope["headers"]])
        query = scope["query_string"].decode("latin-1")
        self.query_params = QueryParams(query)
        self.path_params = {}
        self.url = URL(scope["path"], query)
        self.client = Address(*scope["client"]) if scope["client"] else None
        self.state = State()

    @property
    def cookies(self):
        found = {}
        for header in self.headers.getlist("cookie"):
            for pair in header.split(";"):
                name, separator, value = pair.strip().partition("=")
                if separator:
                    found[name] = value.strip('"')
        return found

    async def body(self):
        raise RuntimeError("a handler sees a request without its body")

    async def json(self):
        raise RuntimeError("a handler sees a request without its body")


class status:
    """Names of statuses, as far as refusals use them."""

    HTTP_400_BAD_REQUEST = 400
    HTTP_401_UNAUTHORIZED = 401
    HTTP_402_PAYMENT_REQUIRED = 402
    HTTP_403_FORBIDDEN = 403
    HTTP_404_NOT_FOUND = 404
    HTTP_409_CONFLICT = 409
    HTTP_422_UNPROCESSABLE_ENTITY = 422
    HTTP_429_TOO_MANY_REQUESTS = 429
    HTTP_500_INTERNAL_SERVER_ERROR = 500
    HTTP_503_SERVICE_UNAVAILABLE = 503
