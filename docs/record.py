#!/usr/bin/env python3
"""Records real sessions with the installed cmdai as the animated SVG files that README.md shows.

usage: docs/record.py CMDAI [SHELL...]      CMDAI: path of the program, its model already fetched

Each session is a real interactive shell on a pty, with an empty home, the real widget and the real model. Times are
real; only pauses longer than a second are cut to one. Needs pyte (LGPL-3.0, only to make the pictures): pip install pyte
"""

import fcntl
import html
import os
import pathlib
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

import pyte

ROWS, COLUMNS = 7, 84
CELL_WIDTH, CELL_HEIGHT, MARGIN = 8.4, 18, 12
LONGEST_PAUSE = 1.0
COLOURS = {"red": "#e06c75", "green": "#98c379", "brown": "#e5c07b", "yellow": "#e5c07b", "blue": "#61afef",
           "magenta": "#c678dd", "cyan": "#56b6c2", "white": "#dcdfe4", "brightblack": "#7f848e"}

CTRL_G, ALT_G, ENTER, CTRL_L = "\x07", "\x1bg", "\r", "\x0c"

# What is typed, and the text to wait for before the next step, or behind a - to wait for the end of; none: a moment.
SESSIONS = {
    "zsh": [("find files larger than 10 MB", None), (CTRL_G, "find . "), (ALT_G, "larger")],
    "bash": [("# count the lines of all python files below here", None), (ENTER, "wc -l"), (CTRL_G, "-thinking")],
    "fish": [("?? list the 3 newest files", "# list"), (ENTER, "head"), (ENTER, None)],
}

RC = {
    "zsh": (".zshrc", "PS1='%F{blue}~/project%f %# '\neval \"$({cmdai} init zsh)\"\n"),
    "bash": (".bashrc", "PS1='\\[\\e[34m\\]~/project\\[\\e[m\\] $ '\neval \"$({cmdai} init bash)\"\n"),
    "fish": (".config/fish/config.fish",
             "function fish_prompt; set_color blue; echo -n '~/project'; set_color normal; echo -n ' > '; end\n"
             "set -g fish_greeting\n{cmdai} init fish | source\n"),
}


class Session:
    """A shell on a pty, and what its screen showed when."""

    def __init__(self, shell, cmdai, home):
        name, rc = RC[shell]
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rc.replace("{cmdai}", str(cmdai)))
        (home / ".local/share/fish/generated_completions").mkdir(parents=True, exist_ok=True)
        project = home / "project"
        project.mkdir()
        for name in ("src", "docs", "build"):
            (project / name).mkdir()
            (project / name / "file").write_bytes(b"x" * 4096)
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.stream = pyte.ByteStream(self.screen)
        self.frames = []
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(project)
            env = {"HOME": str(home), "ZDOTDIR": str(home), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8",
                   "PATH": os.environ["PATH"], "CMDAI_MODELS_DIR": os.environ["CMDAI_MODELS_DIR"]}
            os.execvpe(shell, [shell, "-i"], env)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def follow(self, seconds, until=None):
        """Reads what the shell writes for this long, or until the screen holds a text, or no more holds one."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.02)[0]:
                self.stream.feed(os.read(self.fd, 65536))
                self.keep()
            elif until and (until.removeprefix("-") in "".join(self.screen.display)) != until.startswith("-"):
                return
        if until:
            sys.exit(f"record.py: waited in vain for {until!r}; the screen:\n" + "\n".join(self.screen.display))

    def keep(self):
        rows = []
        for y in range(ROWS):
            line, runs = self.screen.buffer[y], []
            for x in range(COLUMNS):
                cell = line[x]
                style = (cell.fg, cell.bold, (y, x) == (self.screen.cursor.y, self.screen.cursor.x))
                if runs and runs[-1][1] == style:
                    runs[-1][2] += cell.data
                else:
                    runs.append([x, style, cell.data])
            rows.append([run for run in runs if run[2].strip() or run[1][2]])
        if not self.frames or self.frames[-1][1] != rows:
            self.frames.append((time.monotonic(), rows))

    def play(self, steps):
        self.follow(60, "~/project")
        self.follow(0.5)
        self.frames = self.frames[-1:]
        for keys, wanted in steps:
            for key in [keys] if keys[0] in "\x07\x1b\r" else keys:
                os.write(self.fd, key.encode())
                self.follow(0.06)
            self.follow(0.5)
            self.follow(60, wanted) if wanted else None
            self.follow(1.2)

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def svg(frames):
    """The frames below each other, pulled past a window one after the other."""
    width, height = COLUMNS * CELL_WIDTH + 2 * MARGIN, ROWS * CELL_HEIGHT + 2 * MARGIN
    times = [at for at, _ in frames]
    lengths = [min(b - a, LONGEST_PAUSE) for a, b in zip(times, times[1:])] + [3.0]
    total, at, steps, strips = sum(lengths), 0.0, [], []
    for n, ((_, rows), length) in enumerate(zip(frames, lengths)):
        steps.append(f"{100 * at / total:.2f}%{{transform:translateY({-n * height:.0f}px)}}")
        at += length
        strips.append("".join(text(run, y, n * height) for y, row in enumerate(rows) for run in row))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}">'
            f"<style>text{{font:14px ui-monospace,Menlo,Consolas,monospace;fill:#dcdfe4;white-space:pre}}"
            f".f{{animation:f {total:.1f}s step-end infinite}}@keyframes f{{{''.join(steps)}}}</style>"
            f'<rect width="100%" height="100%" rx="6" fill="#1e2127"/><g class="f">{"".join(strips)}</g></svg>\n')


def text(run, y, top):
    x, (colour, bold, cursor), content = run
    left, base = MARGIN + x * CELL_WIDTH, top + MARGIN + y * CELL_HEIGHT
    fill = f' fill="{COLOURS[colour]}" style="fill:{COLOURS[colour]}"' if colour in COLOURS else ""
    weight = ' font-weight="bold"' if bold else ""
    content = content.rstrip()
    block = f'<rect x="{left:.1f}" y="{base:.0f}" width="{CELL_WIDTH}" height="{CELL_HEIGHT}" fill="#5c6370"/>' if cursor else ""
    width = len(content) * CELL_WIDTH
    words = (f'<text x="{left:.1f}" y="{base + 14:.0f}" textLength="{width:.1f}"{fill}{weight}>{html.escape(content)}</text>'
             if content else "")
    return block + words


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    cmdai = pathlib.Path(sys.argv[1]).resolve()
    for shell in sys.argv[2:] or SESSIONS:
        home = pathlib.Path(tempfile.mkdtemp())
        env = dict(os.environ, HOME=str(home))
        env.pop("XDG_RUNTIME_DIR", None)
        # The model is open and the prompt's fixed part computed, as after the first request of a day.
        subprocess.run([cmdai, "suggest", "--shell", shell, "list files"], env=env, check=True, capture_output=True)
        session = Session(shell, cmdai, home)
        try:
            session.play(SESSIONS[shell])
        finally:
            session.close()
            subprocess.run([cmdai, "server", "stop"], env=env, check=False, capture_output=True)
            shutil.rmtree(home, ignore_errors=True)
        out = pathlib.Path(__file__).parent / f"{shell}.svg"
        out.write_text(svg(session.frames))
        print(f"{out}: {len(session.frames)} frames, {out.stat().st_size} bytes")


main()
