"""A worker that calls the provider itself, with permits: worker.py SLUICE PROVIDER SECONDS.

Prints one line of JSON: answered, refused, late, errors. With "hold" for SECONDS it takes one
permit of 3 s, prints it and waits to be killed.
"""
import json
import os
import sys
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../../deploy/clients"))
sys.dont_write_bytecode = True
from sluice_client import Client, SluiceError  # noqa: E402

BODY = {"model": "gpt-4o", "max_tokens": 60,
        "messages": [{"role": "user", "content": "[[sim output=20]] " + "some words " * 20}]}


def call_provider(base):
    request = urllib.request.Request(base + "/v1/chat/completions", json.dumps(BODY).encode(),
                                     {"content-type": "application/json", "authorization": "Bearer k"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, dict(answer.headers), json.load(answer)
    except urllib.error.HTTPError as e:
        return e.code, dict(e.headers), json.loads(e.read())


def work(client, provider, seconds):
    seen = {"answered": 0, "refused": 0, "late": 0, "errors": []}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with client.permit(body=BODY, wait_ms=20000) as p:
                p.sent()
                status, headers, body = call_provider(provider)
                settled = p.settle(status=status, headers=headers, body=body)
                again = p.settle(status=status, headers=headers, body=body)
            seen["answered" if status == 200 else "refused"] += 1
            if settled["status"] != "settled" or again != settled:
                seen["errors"].append(f"settled as {settled}, then {again}")
        except SluiceError as e:
            if e.code == "permit_timeout":
                seen["late"] += 1
            else:
                seen["errors"].append(str(e))
    return seen


sluice, provider, seconds = sys.argv[1:4]
if seconds == "hold":
    permit = Client(sluice).permit(model="gpt-4o", input_tokens=500, max_output_tokens=500, ttl_ms=3000)
    permit.sent()
    print(json.dumps(permit.fields), flush=True)
    time.sleep(600)
else:
    print(json.dumps(work(Client(sluice), provider, float(seconds))))
