"""One-time codes hold once: a code that pyotp's `TOTP` found right is asked about once more, whether it is its first use (RFC 6238 section 5.2).

The package itself is the user's; its `TOTP` is watched as soon as it is loaded, so that handler files need not change. What is asked
about is a hash under the secret, which tells neither the secret nor the code.
"""

import functools
import hashlib
import hmac
import importlib.abc
import sys
import threading
import unicodedata

from _doorward_asking import first_use

MODULE = "pyotp.totp"
#: One method may call another: a code is asked about once.
_within = threading.local()


def watch():
    """From here on, also where the package is loaded already."""
    loaded = sys.modules.get(MODULE)
    if loaded is not None:
        hold(loaded)
    sys.meta_path.insert(0, _Watching())


class _Watching(importlib.abc.MetaPathFinder):
    """Lets others find the one module, and looks at it when it has been loaded."""

    def find_spec(self, name, path=None, target=None):
        if name != MODULE:
            return None
        others = (finder for finder in list(sys.meta_path) if finder is not self and hasattr(finder, "find_spec"))
        spec = next((found for found in (finder.find_spec(name, path, target) for finder in others) if found is not None), None)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module):
                load(module)
                hold(module)

            spec.loader.exec_module = exec_module
        return spec


def hold(module):
    totp = getattr(module, "TOTP", None)
    for name in ("verify", "verify_and_get_timecode"):
        method = getattr(totp, name, None)
        if method is not None and not hasattr(method, "doorward"):
            setattr(totp, name, holding(method))


def holding(method):
    @functools.wraps(method)
    def verify(self, otp, *positional, **named):
        if getattr(_within, "a_verify", False):
            return method(self, otp, *positional, **named)
        _within.a_verify = True
        try:
            said = method(self, otp, *positional, **named)
        finally:
            _within.a_verify = False
        if said is False or said is None:
            return said
        if first_use(name_of(self, otp), held_s(self, *positional, **named)):
            return said
        return refused(method)

    verify.doorward = True
    return verify


def name_of(totp, otp):
    """The same for every spelling that the package takes for the same code of the same secret."""
    code = unicodedata.normalize("NFKC", str(otp))
    return hmac.new(totp.byte_secret(), b"doorward one-time code\0" + code.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def held_s(totp, for_time=None, valid_window=0):
    """As long as the code is good at all, and a step more for clocks that differ."""
    return int(totp.interval) * (2 * max(int(valid_window), 0) + 2)


def refused(method):
    if method.__name__ == "verify":
        return False
    from pyotp.exceptions import OTPVerificationError

    raise OTPVerificationError("this code was used before")
