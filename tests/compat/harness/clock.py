"""A clock of a process's own, which jumps."""

import glob
import os
from pathlib import Path

from harness.programs import left_out

HOUR_S = 3600


class Clock:
    """The clock of one process, moved while it runs (Debian's `faketime`); the steady clock stays as it is."""

    def __init__(self, home: Path) -> None:
        found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        if not found:
            raise left_out("faketime is not installed, so no clock can jump")
        self.file = home / "faketime"
        self.set(0)
        self.environment = {
            "LD_PRELOAD": found[0],
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset_s: int) -> None:
        whole = self.file.with_suffix(".new")
        whole.write_text(f"{offset_s:+d}\n")
        os.replace(whole, self.file)
