"""A cmdai server of the benchmark's own, its clients, and how their times are written.

The server has its socket in a directory of its own, so the user's server is neither asked nor disturbed.
"""
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REQUESTS = (Path(__file__).parent / "requests.txt").read_text().splitlines()

# Other words than any request measured, so that the server holds nothing of the next one.
BETWEEN = "print the name of the current user"

# s: the server computes what was typed at once, once its client has gone.
PAUSE = 0.1

# s without work until the engine settles, and some more.
SETTLE = 3


class Resident:
    def __init__(self, cmdai, model=None):
        self.cmdai = os.path.abspath(cmdai)
        self.env = os.environ | ({"CMDAI_MODEL": os.path.abspath(model)} if model else {})

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory()  # 0700, and in a short path, as a socket's has at most 107 bytes
        self.env["XDG_RUNTIME_DIR"] = self.directory.name
        return self

    def __exit__(self, *_):
        self.run("server", "stop")
        self.directory.cleanup()

    def run(self, *args, env=None, **options):
        """What it says on stderr is for whoever runs the benchmark."""
        env = self.env | (env or {})
        return subprocess.run([self.cmdai, *args], env=env, stdout=subprocess.PIPE, text=True, **options)

    def start(self):
        self.run("server", "start", check=True)
        self.ask(BETWEEN)
        # Then the engine settles; how quick a server is before that, only its first requests see.
        time.sleep(SETTLE)
        rest(self.status()["pid"])

    def status(self):
        return json.loads(self.run("server", "status", "--json", check=True).stdout)

    def model(self):
        """The model's file."""
        path = self.env.get("CMDAI_MODEL")
        return path if path and os.path.isfile(path) else self.run("model", "path", check=True).stdout.strip()

    def warm(self, words):
        """Has the words prefilled as if they were typed. Returns when they are."""
        self.run("server", "warm", "--shell", "bash", input=words, check=True)
        time.sleep(PAUSE)
        rest(self.status()["pid"])

    def ask(self, words, server=True):
        """One fresh client, timed from its start to the end of its output: "ms", and "command" and "timing" if any."""
        # --json for the number of tokens; it prints a line of some 300 bytes more.
        argv = [self.cmdai, "suggest", "--shell", "bash", "--json", "--", words]
        env = self.env if server else self.env | {"CMDAI_SERVER": "0"}
        start = time.perf_counter()
        with subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as client:
            text = client.stdout.read()
            ms = (time.perf_counter() - start) * 1e3
        if client.returncode not in (0, 3):  # 3: the model's answer was no command
            sys.exit(f"{self.cmdai} exited with {client.returncode} on: {words}")
        return {"ms": ms} | (json.loads(text) if text else {"command": None, "timing": {}})


def processor_time(pid):
    """In ticks of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def rest(pid):
    """Returns once the process has computed nothing for a while."""
    before = None
    while (now := processor_time(pid)) != before:
        before = now
        time.sleep(PAUSE)


def exit_on_signals():
    """Lets every `with` end what it started, however the benchmark is stopped."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))


def quantile(values, share):
    values = sorted(values)
    return values[round(share * (len(values) - 1))]


def spread(values, digits):
    """Median (quartiles)."""
    shown = [statistics.median(values), quantile(values, 0.25), quantile(values, 0.75)]
    return "{} ({}-{})".format(*(f"{value:.{digits}f}" for value in shown))
