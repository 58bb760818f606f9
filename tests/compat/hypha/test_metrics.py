"""What the operator sees of the hub."""

import contextlib
import re

import requests

from harness.doorward import Doorward
from harness.hypha import Hub, asked, until
from harness.hypha_http import Line
from harness.programs import free_port


async def test_the_hub_is_counted(tmp_path):
    port = free_port()
    config = tmp_path / "doorward.toml"
    config.write_text(f'[metrics]\nlisten = "127.0.0.1:{port}"\n')
    with Doorward("dev", "--listen", "127.0.0.1:0", "--config", config, home=tmp_path / "home") as server:
        hub = Hub(server)

        def read() -> dict[str, float]:
            text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
            return {name: float(value) for name, value in re.findall(r'^doorward_hub_(\S+) (\S+)$', text, re.MULTILINE)}

        person, mount = hub.person(), '{mount="hypha"}'
        assert read()[f"clients{mount}"] == 0
        async with hub.enter(person) as server_of, Line(hub, person.token) as line:
            await server_of.register_service({"id": "one", "say": lambda: 1})
            await line.alive()
            await asked(hub.http(), "POST", "/public/services/hypha-login/start", json={})
            async with hub.wire() as wire:
                await wire.hello(token="junk")
            async with Line(hub, "junk"), Line(hub, person.token, client_id="a/b"), Line(hub, None, workspace="ws-nowhere"):
                pass
            told = read()
            assert told[f"clients{mount}"] == 2 and told[f"workspaces{mount}"] == 2
            assert told[f"services{mount}"] >= 1 and told[f"logins_waiting{mount}"] == 1 and told[f"messages_total{mount}"] >= 5
            refused = {why: told[f'refused_total{{mount="hypha",why="{why}"}}'] for why in ("credential", "name", "missing", "denied")}
            assert refused == {"credential": 1, "name": 1, "missing": 1, "denied": 0}, refused
            assert told[f"let_go_total{mount}"] == 0

        async def nobody():
            return read()[f"clients{mount}"] == 0

        await until(nobody, "they left")
        with contextlib.suppress(KeyError):
            assert "junk" not in str(read())
