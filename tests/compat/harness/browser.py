"""A real browser: Debian's Chromium, without a window, driven by PyPI `selenium`."""

import shutil
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from harness.programs import left_out

LIMIT_S = 20


def open_browser() -> webdriver.Chrome:
    """A fresh profile. The sandbox is off because tests run as root, and shared memory may be small."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        raise left_out("chromium and chromium-driver are not installed, so nothing is seen in a browser")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"]:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.add_argument(f"--user-data-dir={tempfile.mkdtemp(prefix='doorward-browser-')}")
    browser = webdriver.Chrome(options=options, service=Service(driver))
    browser.set_page_load_timeout(LIMIT_S)
    browser.set_script_timeout(LIMIT_S)
    return browser


def let_scripts_of_the_test_run(browser: webdriver.Chrome) -> None:
    """Our answers forbid every script and every fetch of a page; the test's own are let through."""
    browser.execute_cdp_cmd("Page.enable", {})
    browser.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})


def fetch(browser: webdriver.Chrome, path: str, **options) -> tuple[int, str]:
    """What a script of the page that is open gets: status and text; (0, why) where the browser does not let it read."""
    script = """
        const [path, options, done] = arguments;
        fetch(path, options).then(async (answer) => done([answer.status, await answer.text()]), (error) => done([0, String(error)]));
    """
    status, text = browser.execute_async_script(script, path, options)
    return status, text


def screenshot(browser: webdriver.Chrome, place: Path) -> None:
    browser.save_screenshot(str(place))
