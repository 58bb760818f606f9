"""Stands for the package where it is not installed."""


class HTTPAuthorizationCredentials:
    def __init__(self, scheme, credentials):
        self.scheme = scheme
        self.credentials = credentials

    def __repr__(self):
        return f"HTTPAuthorizationCredentials(scheme={self.scheme!r})"
