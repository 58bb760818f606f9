"""One `doorward dev` for the suite: each test brings people of its own."""

import pytest

from harness.doorward import Doorward
from harness.supabase import Supabase

CONFIG = """
[mounts.supabase]
site_url = "https://app.example/welcome"
redirect_urls = ["https://*.preview.example/**", "myapp://callback"]
cors_origins = ["https://app.example"]
letters_per_network = 1000

[roles.keeper]
permissions = ["thread:read@any"]

[roles.heir]
inherits = ["keeper"]

[roles.writer]
inherits = ["user"]
permissions = ["thread:*"]
"""


@pytest.fixture(scope="session")
def supabase(tmp_path_factory):
    config = tmp_path_factory.mktemp("supabase-config") / "doorward.toml"
    config.write_text(CONFIG)
    home = tmp_path_factory.mktemp("supabase")
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=home) as server:
        yield Supabase(server)


@pytest.fixture(scope="session")
def confirming(tmp_path_factory):
    """A mount that takes addresses as they come."""
    config = tmp_path_factory.mktemp("supabase-config") / "doorward.toml"
    config.write_text("[mounts.supabase]\nauto_confirm = true\n")
    home = tmp_path_factory.mktemp("supabase-auto")
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=home) as server:
        yield Supabase(server)


@pytest.fixture
def person(supabase):
    return supabase.confirmed()
