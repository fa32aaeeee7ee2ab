#!/usr/bin/env python3
"""Starts a cluster, lets a command run Complement's tests against it, and records how they end.

usage: run.py GANGLION COMMAND   (README.md beside this file tells what the command has to do)
"""

import fnmatch
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
# Most tests were written for rooms whose creators have a level; those for version 12 ask for it.
SETTINGS = ['rooms.default_version="11"']
START_SECONDS = 120


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(ganglion, folder):
    """A running cluster named hs1: its process and what the command is told of it."""
    plain, tls = free_port(), free_port()
    command = [ganglion, "up", "--die-with-parent", "--folder", folder, "--server-name", "hs1"]
    command += ["--plain-port", str(plain), "--tls-port", str(tls)]
    for setting in SETTINGS:
        command += ["--set", setting]
    log = open(f"{folder}.log", "w")
    cluster = subprocess.Popen(command, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{plain}"
    for _ in range(START_SECONDS):
        if cluster.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"{url}/_matrix/client/versions", timeout=5)
            return cluster, {"GANGLION_URL": url, "GANGLION_TLS": f"127.0.0.1:{tls}"}
        except (urllib.error.URLError, OSError):
            time.sleep(1)
    cluster.terminate()
    cluster.wait()
    sys.exit(f"the cluster did not start: {folder}.log")


def outcomes(lines):
    """(package, test) -> (outcome, why skipped), from the lines of `go test -json`."""
    found, said = {}, {}
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            sys.stderr.write(line)
            continue
        key = (event.get("Package", ""), event.get("Test", ""))
        if not key[1]:
            continue
        if event["Action"] == "output":
            message = re.match(r"\s+\w+\.go:\d+: (.*)", event["Output"])
            if message:
                said[key] = message[1].strip()
        elif event["Action"] in ("pass", "fail", "skip"):
            found[key] = (event["Action"], said.get(key, ""))
            print(event["Action"], *key, flush=True)
    return found


def read_reasons():
    """Rows of package, pattern of the test's name, reason; the last that fits counts."""
    lines = (HERE / "reasons.tsv").read_text().splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def explain(found, rows):
    """(package, test) -> reason of each that did not pass, and the rows that explain nothing."""
    reasons, used = {}, set()
    failed = [key for key, (outcome, _) in found.items() if outcome == "fail"]
    for key, (outcome, said) in found.items():
        package, test = key
        if outcome == "pass":
            continue
        if outcome == "skip":
            reasons[key] = said or "?"
            continue
        for number, (where, pattern, reason) in enumerate(rows):
            if fnmatch.fnmatchcase(package, where) and fnmatch.fnmatchcase(test, pattern):
                reasons[key] = reason
                used.add(number)
        if key not in reasons:
            part = any(p == package and t.startswith(f"{test}/") for p, t in failed)
            reasons[key] = "a part of it" if part else "?"
    return reasons, [row for number, row in enumerate(rows) if number not in used]


def main():
    ganglion, command = os.path.abspath(sys.argv[1]), sys.argv[2]
    folder = tempfile.mkdtemp(prefix="ganglion-complement-")
    cluster, told = start(ganglion, folder)
    try:
        run = subprocess.Popen(
            command, shell=True, env=os.environ | told, stdout=subprocess.PIPE, text=True
        )
        found = outcomes(run.stdout)
        run.wait()
    finally:
        cluster.terminate()
        cluster.wait()
    if not found:
        sys.exit("the command reported no test")
    shutil.rmtree(folder, ignore_errors=True)
    reasons, idle = explain(found, read_reasons())
    with open(HERE / "results.tsv", "w") as out:
        out.write("package\ttest\toutcome\treason\n")
        for key in sorted(found):
            out.write("\t".join([*key, found[key][0], reasons.get(key, "")]) + "\n")
    count = lambda wanted: sum(outcome == wanted for outcome, _ in found.values())
    unexplained = [key for key, reason in reasons.items() if reason == "?"]
    for key in unexplained:
        print("no reason is given for", *key)
    for row in idle:
        print("a reason that explains no failure:", *row)
    print(f"{count('pass')} passed, {count('fail')} failed, {count('skip')} skipped")
    sys.exit(1 if unexplained else 0)


if __name__ == "__main__":
    main()
