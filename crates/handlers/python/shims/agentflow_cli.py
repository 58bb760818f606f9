"""Stands for the package where it is not installed: as much of it as an authentication backend uses."""

from abc import ABC, abstractmethod


class BaseAuth(ABC):
    """What a backend extends."""

    @abstractmethod
    def authenticate(self, *arguments):
        """Answers who it is: a dict with `user_id`, `{}` for nobody; raises `HTTPException` to refuse."""
        raise NotImplementedError


class UserAccountError(Exception):
    """An account that must not be used."""

    def __init__(self, message="", status_code=403, **_):
        super().__init__(message)
        self.message = message
        self.status_code = status_code
