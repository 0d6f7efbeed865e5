"""Draw docs/report.png and docs/report_narrow.png: a report in Chromium, wide and light, and narrow and dark.

python -m docs.report --page=runs/aux_heads/report/index.html

It needs the packages chromium and chromium-driver of Debian.
"""

import argparse
import base64
import io
import pathlib
import shutil

import PIL.Image
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

HERE = pathlib.Path(__file__).parent
PICTURES = {"report.png": (1440, "light"), "report_narrow.png": (390, "dark")}
PATIENCE = 120  # seconds; the machine may be busy


def start_chromium() -> webdriver.Chrome:
    """Start a Chromium without a window, which records its console and its requests."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium, "make test-browser installs Chromium"
    assert driver, "make test-browser installs chromedriver"
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    # Root, as in containers, cannot use Chromium's sandbox, and /dev/shm is small there.
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def resize(browser: webdriver.Chrome, width: int, scheme: str) -> None:
    """Give the page a width in pixels and a color scheme, "light" or "dark"."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def wait_for_charts(browser: webdriver.Chrome) -> None:
    """Wait until Plotly has drawn all charts in the width of the page."""
    script = """
        return [...document.querySelectorAll(".plot")].every((plot) => {
          const drawn = plot.querySelector(".main-svg");
          return drawn && Math.abs(drawn.getBoundingClientRect().width - plot.clientWidth) < 2;
        });
    """
    WebDriverWait(browser, PATIENCE).until(lambda _: browser.execute_script(script))


def take_picture(browser: webdriver.Chrome, width: int) -> PIL.Image.Image:
    """Return a picture of the whole page in few colors."""
    height = browser.execute_script("return document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    options = {"captureBeyondViewport": True, "clip": clip}
    encoded = browser.execute_cdp_cmd("Page.captureScreenshot", options)["data"]
    return PIL.Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB").quantize(128)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=pathlib.Path, required=True)
    page = parser.parse_args().page.resolve()
    started = start_chromium()
    try:
        for name, (width, scheme) in PICTURES.items():
            resize(started, width, scheme)
            started.get(page.as_uri())
            wait_for_charts(started)
            take_picture(started, width).save(HERE / name, optimize=True)
    finally:
        started.quit()
