"""Stands for `hypha.utils`: as much of it as start-up files use."""

import secrets

_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_HOW = ("bold", "brave", "bright", "brisk", "calm", "clear", "cool", "deep", "eager", "early", "fair", "fresh", "gentle", "glad", "grand", "green")
_WHAT = ("brook", "cedar", "cliff", "cloud", "coral", "crane", "dune", "ember", "fern", "field", "finch", "grove", "harbor", "heron", "island", "lake")


def random_id(readable=True):
    """Two words and eight digits, or 22 letters and digits that nobody guesses."""
    if readable:
        return f"{secrets.choice(_HOW)}-{secrets.choice(_WHAT)}-{secrets.randbelow(10**8):08d}"
    return "".join(secrets.choice(_LETTERS) for _ in range(22))
