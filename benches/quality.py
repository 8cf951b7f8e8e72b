#!/usr/bin/env python3
"""How many suggestions are right, by category: the table for docs/measurements.md.

    python3 benches/quality.py [CMDAI OPTIONS...]      e.g. --alternatives 3 --model qwen2.5-coder-0.5b

Has every item of the sets in $CMDAI_QUALITY (default ../shared/quality) answered by `cmdai eval` and run by
nl2sh_eval.py there: suggestion and references in fresh sandboxes. $CMDAI names the program (default: the one on PATH).
The programs that count as here are those of the sandboxes: a folder of their names is put on PATH. Prints a table in
Markdown, and where the answers and verdicts lie.
"""
import collections, json, os, pathlib, subprocess, sys, tempfile

QUALITY = pathlib.Path(os.environ.get("CMDAI_QUALITY", pathlib.Path(__file__).parents[2] / "shared/quality"))
SETS = ["dev.jsonl", "everyday_dev.jsonl"]
ROOT = pathlib.Path("/var/tmp/nl2sh-eval/base")
# What a fixture puts into /usr/local/bin.
STAND_INS = """systemctl docker docker-compose kubectl npm yarn brew pip pip3 pbcopy xclip code reboot shutdown poweroff
journalctl snap yum dnf pacman ssh-copy-id xdg-open cargo node go ufw iptables mount umount hostnamectl timedatectl
apt-get aptitude apt sudo""".split()


def main():
    program = os.environ.get("CMDAI", "cmdai")
    kept = pathlib.Path(tempfile.mkdtemp(prefix="cmdai-quality-"))
    path = names_of_the_sandbox(kept / "path")
    right, any_right, items, seconds = collections.Counter(), collections.Counter(), collections.Counter(), []
    for name in SETS:
        rows = (QUALITY / name).read_text()
        answers = subprocess.run([program, "eval", "--jsonl", "--shell", "bash", *sys.argv[1:]], input=rows, text=True,
                                 stdout=subprocess.PIPE, check=True, env={**os.environ, "PATH": path}).stdout
        (kept / f"answers-{name}").write_text(answers)
        answered = list(zip(map(json.loads, rows.splitlines()), map(json.loads, answers.splitlines())))
        passed = verdicts(kept, name, answered)
        for row, answer in answered:
            seconds.append(answer["seconds"])
            for group in (row["category"], "all of " + name.removesuffix(".jsonl")):
                items[group] += 1
                right[group] += passed[row["id"]][0]
                any_right[group] += any(passed[row["id"]])
    print("| | right | any of them | items | share |\n| --- | --- | --- | --- | --- |")
    for group in sorted(items, key=lambda group: (group.startswith("all of"), group)):
        share = right[group] / items[group]
        print(f"| {group} | {right[group]} | {any_right[group]} | {items[group]} | {share:.2f} |")
    seconds.sort()
    print(f"\nmedian {seconds[len(seconds) // 2]:.2f} s, 95th percentile {seconds[len(seconds) * 95 // 100]:.2f} s; {kept}")


def verdicts(kept, name, answered):
    """Whether each command of each item is right, the first suggestion's first: run as items of their own."""
    numbered, candidates, passed = kept / f"items-{name}", kept / f"candidates-{name}", {}
    with numbered.open("w") as items, candidates.open("w") as commands:
        for row, answer in answered:
            for number, command in enumerate([answer["command"], *answer.get("alternatives", [])]):
                ident = f"{row['id']}@{number}"
                items.write(json.dumps({**row, "id": ident}) + "\n")
                commands.write(json.dumps({"id": ident, "command": command, "seconds": answer["seconds"]}) + "\n")
    out = kept / f"verdicts-{name}"
    subprocess.run([sys.executable, QUALITY / "nl2sh_eval.py", "run", numbered, "--candidates", candidates, "--out", out],
                   check=True, stdout=subprocess.DEVNULL)
    for verdict in map(json.loads, out.read_text().splitlines()):
        passed.setdefault(verdict["id"].rpartition("@")[0], []).append(verdict["pass"])
    return passed


def names_of_the_sandbox(folder):
    """A folder that holds a program by every name that there is in the sandboxes, and nothing else."""
    folder.mkdir()
    names = {entry.name for place in ("bin", "sbin", "usr/bin", "usr/sbin", "usr/games", "usr/local/bin")
             if (ROOT / place).is_dir() for entry in (ROOT / place).iterdir()}
    for name in names | set(STAND_INS):
        (folder / name).symlink_to("/bin/true")
    return str(folder)


main()
