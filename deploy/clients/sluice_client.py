#!/usr/bin/env python3
"""Permits of a Sluice service, for workers that call their provider themselves.

    client = Client("http://127.0.0.1:8080", key="sk-of-the-service")
    with client.permit(model="gpt-4o", input_tokens=900, max_output_tokens=500) as p:
        p.sent()                          # from here on it counts
        answer = ...                      # call the provider
        p.settle(usage={"input_tokens": 870, "output_tokens": 310},
                 status=answer.status, headers=dict(answer.headers))

A permit that is left without settle() is given back, unless sent() was called: then the provider
may have seen the request, and it stays charged until it expires. Standard library only.
"""
import json
import random
import sys
import time
import urllib.error
import urllib.request


class SluiceError(Exception):
    """An answer of the service: status, code (such as "permit_timeout"), retry_after in seconds."""
    def __init__(self, status, code, message, retry_after=None):
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.retry_after = status, code, retry_after


class Permit:
    def __init__(self, client, fields):
        self.client, self.fields, self.id = client, fields, fields["id"]
        self.was_sent = self.ended = False

    def sent(self):
        """Say it before the request goes out: from then on the permit is not given back."""
        self.was_sent = True

    def settle(self, usage=None, status=200, headers=None, body=None):
        """What became of the request. May be repeated; body: the provider's, if usage is not at hand."""
        result = {"usage": usage, "status": status, "headers": headers, "body": body}
        self.fields = self.client.call("POST", f"/v1/permits/{self.id}/settle", result, retry=True)
        self.ended = True
        return self.fields

    def renew(self, ttl_ms=None):
        self.fields = self.client.call("POST", f"/v1/permits/{self.id}/renew", {"ttl_ms": ttl_ms}, retry=True)
        return self.fields

    def release(self):
        self.fields = self.client.call("DELETE", f"/v1/permits/{self.id}", retry=True)
        self.ended = True

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if not self.ended and not self.was_sent:
            try:
                self.release()
            except (SluiceError, OSError):
                if kind is None:
                    raise


class Client:
    def __init__(self, url="http://127.0.0.1:8080", key=None, timeout=630, tries=4):
        self.url, self.key, self.timeout, self.tries = url.rstrip("/"), key, timeout, tries

    def permit(self, **ask):
        """Waits for leave to send one request: model, and input_tokens, messages or body;
        max_output_tokens, wait_ms, ttl_ms, priority. SluiceError 429 when none came in time."""
        return Permit(self, self.call("POST", "/v1/permits", ask))

    def check(self, **ask):
        """What would happen to a request now: decision, wait_ms, binding_limit. Changes nothing."""
        return self.call("POST", "/v1/admission/check", ask, retry=True)

    def call(self, method, path, body=None, retry=False):
        """retry: it may be repeated without harm, so a lost answer is asked for again."""
        for attempt in range(1, self.tries + 1):
            try:
                return self._send(method, path, body)
            except SluiceError as e:
                if e.status not in (502, 503) or attempt == self.tries:
                    raise
                wait = e.retry_after
            except OSError:
                if not retry or attempt == self.tries:
                    raise
                wait = None
            wait = 0.2 * 2**attempt if wait is None else wait
            time.sleep(min(wait, 10) * (1 + random.random() / 4))

    def _send(self, method, path, body):
        key = {"authorization": "Bearer " + self.key} if self.key else {}
        headers = {"content-type": "application/json", **key}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as e:
            text, after = e.read(), e.headers.get("retry-after-ms")
            try:
                error = json.loads(text)["error"]
                code, message = error["code"], error["message"]
            except (ValueError, KeyError, TypeError):
                code, message = None, text[:200].decode(errors="replace")
            raise SluiceError(e.code, code, message, int(after) / 1000 if after else None) from None


if __name__ == "__main__":
    if len(sys.argv) != 3 or "--help" in sys.argv:
        print(__doc__ + "\nTry it: sluice_client.py URL MODEL takes a permit and settles it.")
        sys.exit("--help" not in sys.argv and 2)
    with Client(sys.argv[1]).permit(model=sys.argv[2], input_tokens=20, max_output_tokens=10) as p:
        print(p.id, "granted after", p.fields["wait_ms"], "ms, reserved", p.fields["reserved"])
        p.sent()  # here the provider is called
        print(p.settle(usage={"input_tokens": 18, "output_tokens": 7})["status"])
