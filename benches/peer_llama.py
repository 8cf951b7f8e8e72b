"""llama.cpp as its users have it: the Python package, resident, and the program llama-completion, for one answer.

Both are built natively from the PyPI package llama-cpp-python, once for this machine, outside the checkout. Run by the
package's own Python, this file is the resident process: it takes words on stdin, a JSON string a line, and answers each.
"""
import json
import os
import re
import subprocess
import sys
import tarfile
import time
from pathlib import Path

VERSION = "0.3.36"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cmdai-dev/peer"
PYTHON = CACHE / "venv/bin/python3"
COMPLETION = CACHE / "build/bin/llama-completion"

# cmdai's instruction without its examples: shorter ones ("Reply with one shell command only.") get prose or the start of
# a fence on most requests, so their times would be of other work.
CHAT = """<|im_start|>system
Reply with one shell command that does what the user asks. Only the command, on one line.<|im_end|>
<|im_start|>user
{words}<|im_end|>
<|im_start|>assistant
"""

# Two compilers beside whatever else the machine does.
NICE = ["nice", "-n", "10"]
OPTIONS = ["-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=OFF", "-DGGML_NATIVE=ON", "-DLLAMA_CURL=OFF",
           "-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_SERVER=OFF",
           "-DLLAMA_BUILD_UI=OFF"]


def pip(*args, **env):
    subprocess.run([*NICE, PYTHON, "-m", "pip", *args[:1], "--quiet", "--disable-pip-version-check", *args[1:]],
                   env=os.environ | env, stdout=sys.stderr, check=True)


def install():
    """The package in an environment of its own, when it is not there yet."""
    stamp = CACHE / "installed"
    if stamp.exists() and stamp.read_text() == VERSION:
        return
    subprocess.run([sys.executable, "-m", "venv", CACHE / "venv"], check=True)
    pip("install", "--no-binary", "llama-cpp-python", f"llama-cpp-python=={VERSION}",
        CMAKE_ARGS="-DGGML_NATIVE=ON", CMAKE_BUILD_PARALLEL_LEVEL="2")
    stamp.write_text(VERSION)


def build_completion():
    """llama.cpp's own program, from the source that the package carries."""
    if COMPLETION.exists():
        return
    install()
    pip("download", "--no-deps", "--no-binary", "llama-cpp-python", "--dest", CACHE, f"llama-cpp-python=={VERSION}")
    with tarfile.open(CACHE / f"llama_cpp_python-{VERSION}.tar.gz") as archive:
        archive.extractall(CACHE)
    source = CACHE / f"llama_cpp_python-{VERSION}/vendor/llama.cpp"
    make = ["cmake", "--build", CACHE / "build", "--target", "llama-completion", "-j", "2"]
    for command in (["cmake", "-S", source, "-B", CACHE / "build", *OPTIONS], make):
        subprocess.run([*NICE, *command], stdout=sys.stderr, check=True)


class Peer:
    """The resident process."""

    def __init__(self, model, threads=os.cpu_count()):
        self.argv = [PYTHON, __file__, model, str(threads)]

    def __enter__(self):
        install()
        self.process = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ask("list files")  # loads the model
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def ask(self, words):
        """Its answer: "ms", "text", "tokens"."""
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def complete(model, prompt, threads=os.cpu_count()):
    """One llama-completion from its start to its end: "ms", "text", "tokens", "decode_ms"."""
    argv = [COMPLETION, "-m", model, "-t", str(threads), "-c", "2048", "-n", "64", "--temp", "0", "-p", prompt]
    # What it would do only for a person is left out.
    argv += ["--no-conversation", "--no-display-prompt", "--no-warmup", "--perf", "--simple-io"]
    start = time.perf_counter()
    run = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    ms = (time.perf_counter() - start) * 1e3
    text = run.stdout.strip().removesuffix("[end of text]").strip()
    decode = re.search(r" eval time = *([\d.]+) ms / *(\d+) runs", run.stderr)
    return {"ms": ms, "text": text} | decoded(*decode.groups())


def decoded(ms, runs):
    """llama.cpp's own count. The first token takes no run: prefill yields it."""
    return {"decode_ms": float(ms), "tokens": int(runs) + 1}


def serve(model, threads):
    import llama_cpp

    llama = llama_cpp.Llama(model, n_ctx=2048, n_threads=threads, n_threads_batch=threads, verbose=False, no_perf=False)
    for line in sys.stdin:
        prompt = CHAT.format(words=json.loads(line))
        llama_cpp.llama_perf_context_reset(llama.ctx)
        start = time.perf_counter()
        answer = llama.create_completion(prompt, max_tokens=64, temperature=0, stop=["\n", "<|im_end|>"])
        ms = (time.perf_counter() - start) * 1e3
        perf = llama_cpp.llama_perf_context(llama.ctx)
        row = {"ms": ms, "text": answer["choices"][0]["text"].strip(), "prefill_ms": perf.t_p_eval_ms}
        print(json.dumps(row | decoded(perf.t_eval_ms, perf.n_eval)), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
