#!/usr/bin/env python3
"""Keeps src/examples/bank.tsv apart from the items that suggestions are measured with.

    python3 benches/bank.py            prints the rows that are too near, and fails if there are some
    python3 benches/bank.py --filter   takes them out

A row is too near where its request shares 60 % of the words (Jaccard) with an item's, or its command is one of an item's
references. The items are those of $CMDAI_QUALITY (default ../shared/quality).
"""
import json, os, pathlib, re, sys

HERE = pathlib.Path(__file__).parents[1]
QUALITY = pathlib.Path(os.environ.get("CMDAI_QUALITY", HERE.parent / "shared/quality"))
BANK = HERE / "src/examples/bank.tsv"
NEAR = 0.6


def words(text):
    return set(re.findall(r"[a-z0-9]+", text.lower()))


def main():
    items = [json.loads(line) for name in ("dev.jsonl", "everyday_dev.jsonl") for line in (QUALITY / name).open()]
    references = {re.sub(r"\s+", " ", command) for item in items for command in item.get("references", [])}
    requests = [words(item["request"]) for item in items]

    def near(row):
        request, command = row.rstrip("\n").split("\t")
        own = words(request)
        return command in references or any(len(own & other) >= NEAR * len(own | other) for other in requests)

    rows = BANK.open().readlines()
    too_near = [row for row in rows if near(row)]
    sys.stdout.writelines(too_near)
    if "--filter" in sys.argv[1:]:
        BANK.write_text("".join(row for row in rows if row not in too_near))
    elif too_near:
        sys.exit(f"{len(too_near)} of {len(rows)} rows are too near to items")


main()
