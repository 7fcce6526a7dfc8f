"""A real browser, headless, spoken to through pipes: what it says of a page, and how the page looks.

The protocol is that of Chrome's developer tools; nothing is needed beside Debian's package `chromium`.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WHY = "no browser: chromium or google-chrome is not on the PATH"
FACTS = """({
  images: [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.alt),
  count: document.images.length,
  over: document.documentElement.scrollWidth - window.innerWidth,
  wide: [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, pre") &&
    e.getBoundingClientRect().right > window.innerWidth + 1).map(e => e.outerHTML.slice(0, 80)),
  small: [...document.querySelectorAll("p, li, dd, td")].filter(e =>
    parseFloat(getComputedStyle(e).fontSize) < 10).length,
  paper: getComputedStyle(document.body).backgroundColor,
  ink: getComputedStyle(document.body).color,
  sorted: [...document.querySelectorAll("table.sortable th button")].length,
})"""


def found():
    """The path of a browser; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One tab. `errors` are what scripts and the browser complain of, `requests` all addresses that were asked for."""

    def __init__(self, write, read):
        self.write, self.read, self.number = write, read, 0
        self.errors, self.requests, self.loaded, self.session, self.rest = [], [], 0, None, b""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self.number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self):
        while b"\0" not in self.rest:
            piece = os.read(self.read, 1 << 20)
            assert piece, "the browser is gone"
            self.rest += piece
        line, _, self.rest = self.rest.partition(b"\0")
        message = json.loads(line)
        told = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.errors.append(told["exceptionDetails"]["text"])
            case "Log.entryAdded":
                self.errors.append(told["entry"]["text"])
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])
            case "Page.loadEventFired":
                self.loaded += 1
        return message

    def open(self, path, width=1400, dark=False):
        """Show a file, and return FACTS of it."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media="", features=[scheme])
        before = self.loaded
        shown = self.call("Page.navigate", url=path.absolute().as_uri())
        assert "errorText" not in shown, shown
        while self.loaded == before:
            self._next()
        opened = "document.querySelectorAll('details').forEach(d => d.open = true)"
        self.call("Runtime.evaluate", expression=opened)
        asked = self.call("Runtime.evaluate", expression=FACTS, returnByValue=True)
        return asked["result"]["value"]

    def picture(self, path):
        """The whole page as a PNG file."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        path.write_bytes(base64.b64decode(shot["data"]))

    def printed(self):
        """The page as the bytes of a PDF."""
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"])


@contextmanager
def browser(path):
    """A browser that is ended when the block is left."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        command = [path, *options, f"--user-data-dir={home}", "--remote-debugging-pipe"]
        # The browser reads from 3 and writes to 4.
        shell = ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", *command]
        process = subprocess.Popen(
            shell, pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Browser(ours_out, ours_in)
        finally:
            process.terminate()
            process.wait(10)
            os.close(ours_out)
            os.close(ours_in)
