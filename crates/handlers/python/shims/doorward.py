"""What handlers import to ask Doorward; see `_doorward_asking`."""

from _doorward_asking import Unavailable, identify, once

__all__ = ["Unavailable", "identify", "once"]
