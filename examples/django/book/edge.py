"""What weir, in front of this site, is to forget when the content changes.

weir answers on a Unix socket in its run directory: POST /v1/purge, with JSON (`weir purge` is a client of the same). Where
there is no weir, as under manage.py runserver, there is nothing to purge.
"""
import http.client
import json
import logging
import os
import socket

log = logging.getLogger(__name__)


class _Socket(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path, timeout):
        super().__init__("weir", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def purge(*tags, soft=False):
    """Takes all pages out of the cache that carry one of the tags; with soft they serve until there is a new one.

    When it returns, no later visitor gets what was purged. What is wrong is logged: the content has been saved, and a page
    that is old for as long as its life lasts is no reason to fail.
    """
    path = os.path.join(os.environ.get("WEIR_RUN_DIR") or "/run/weir", "weir.sock")
    if not os.path.exists(path):
        return
    weir = _Socket(path, timeout=5)
    try:
        body = json.dumps({"tags": tags, "soft": soft})
        weir.request("POST", "/v1/purge", body, {"Content-Type": "application/json"})
        answer = weir.getresponse()
        if answer.status != 200:
            log.error("weir did not purge %s: %d %s", tags, answer.status, answer.read().decode(errors="replace"))
    except OSError as error:
        log.error("weir did not purge %s: %s", tags, error)
    finally:
        weir.close()
