#!/usr/bin/env python3
"""Writes tests/data/tokenizer-{qwen2,smollm}.jsonl: strings, and the token ids that they must give.

The ids come from Hugging Face's `tokenizers`, set up by hand from the vocabulary and merges of the GGUF file, with
llama.cpp's expressions, without a normaliser and without special tokens: what llama.cpp does with `parse_special` off.

    pip install tokenizers==0.23.3 gguf
    python3 tests/data/make-tokenizer-goldens.py qwen2 MODELS/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf
    python3 tests/data/make-tokenizer-goldens.py smollm MODELS/SmolLM2-135M-Instruct.Q4_1.gguf

Each line is a JSON array: the string, then its ids.
"""

import json
import random
import sys
import unicodedata
from pathlib import Path

from gguf import GGUFReader
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

QWEN2 = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CUTS = {"qwen2": [QWEN2], "smollm": [r"\p{N}", GPT2]}

PLAIN = """
list all files larger than 100MB in my home directory
find . -type f -name '*.rs' -size +100M -exec ls -lh {} \\; | sort -k5 -hr | head -n 20
git log --oneline --graph --decorate --all | sed -e 's/^/  /' && echo "done: $?"
for f in *.jpg; do convert "$f" -resize 50% "${f%.jpg}_small.jpg"; done
tar -czvf backup-$(date +%Y%m%d_%H%M%S).tar.gz --exclude='node_modules' ./src ~/docs 2>/dev/null
awk -F: '{ print $1, $3 }' /etc/passwd | grep -vE '^(root|nobody)' > users.txt
curl -sSL https://example.com/install.sh?x=1&y=%20 | bash -s -- --prefix=/usr/local
docker run --rm -it -v "$PWD":/work -w /work -p 8080:80 ubuntu:22.04 bash -lc 'apt update && apt install -y jq'
rm -rf /tmp/foo\\ bar/* ; sudo chmod -R 755 ./  ; :(){ :|:& };:
ps aux --sort=-%mem | awk 'NR<=10{print $2,$4,$11}'
ffmpeg -i in.mp4 -vf "scale=1280:-2,fps=30" -c:v libx264 -crf 23 out.mp4
set -l x (math "2 ^ 10"); and echo $x; or return 1
print -l **/*(.om[1,10]); echo =ls <(sort a) >(cat) ${(f)"$(<file)"}
SELECT * FROM users WHERE name = 'O''Reilly' AND age >= 18;
#include <stdio.h>\\nint main(void) { printf("%d\\n", 0x1F); return 0; }
I'm sure you're right; they've said we'll see, he'd know, it's fine, don't
I'M SURE YOU'RE RIGHT; THEY'VE SAID WE'LL SEE, HE'D KNOW, IT'S FINE, DON'T
rock'n'roll 'tis 'Twas o'clock ''s ''S '' ' 'ſ 'LL 'Ll 'lL 'l 'r 'v 're've
Größe naïve façade Øresund Łódź İstanbul ılık ǅ ŉ ß ẞ ﬁ ﬂ
Привет, мир! Как дела? Это проверка.
Γειά σου Κόσμε, τι κάνεις;
שלום עולם, מה שלומך? בְּרֵאשִׁית
مرحبا بالعالم، كيف حالك؟ ١٢٣٤٥ ۱۲۳ السَّلَامُ عَلَيْكُمْ
नमस्ते दुनिया १२३ क्षत्रिय
你好，世界！今天天气怎么样？列出所有大于100MB的文件。
こんにちは世界。ファイルを一覧表示して ｶﾀｶﾅ ａｂｃ１２３
안녕하세요 세계 파일 목록을 보여줘 각
สวัสดีชาวโลก ๑๒๓ ภาษาไทย
😀😃😄 👍🏽 👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷 ❤️ ☎︎ 1️⃣2️⃣ #️⃣ 🧑🏿‍💻
①②③ Ⅳ ⅷ ½ ¾ ² ³ ₁₂ ㊿ 〇 一二三 ༳ ৴ 𝟙𝟚𝟛 𐄇
e\u0301 é a\u0308\u0323 ñ n\u0303 Å Å Ω Ω ﷺ ﬃ
\u200b\u200c\u200d\u2060\ufeff zero\u200bwidth soft\u00adhyphen \u202eevil\u202c \u2066x\u2069
\u00a0nbsp\u00a0\u00a0two \u2003em\u2009thin\u3000ideographic \u1680ogham \u2028line\u2029para \u0085nel
<|im_start|>system\\nYou are helpful.<|im_end|> <|endoftext|> <tool_call>{}</tool_call> <|fim_pad|> [PAD151665]
https://user:pass@host:8443/a/b.c?d=e&f=%F0%9F%98%80#g-h_i~j 192.168.0.1 fe80::1%eth0
0 1 12 123 1234 3.14159 1,000,000 0xDEADBEEF 1e-10 2024-01-31T12:34:56Z v1.2.3-rc.4 50% $9.99 №7
""".strip().split("\n")

SPECIAL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|fim_prefix|>", "<|repo_name|>", "<tool_call>", "</tool_call>"]
SPACES = [" ", "\t", "\n", "\r", "\r\n", "\v", "\f", "\u00a0", "\u2003", "\u3000", "\u0085", "\u2028"]
WORDS = "find ls -la grep 'x y' \"$HOME\" $(pwd) && || ; | > 2>&1 {} \\; I'm you'RE 42 2024 é 世界 😀 e\u0301 ../.. __init__ CamelCaseName *.tar.gz".split(" ")


def unescape(line: str) -> str:
    return line.encode("ascii", "backslashreplace").decode("unicode_escape") if "\\u" in line else line


def assigned(random_: random.Random) -> str:
    """A character of Unicode 14 or older: of those, no later version has changed a category that matters here."""
    while True:
        point = random_.choice([random_.randrange(0x80, 0x3000), random_.randrange(0x80, 0x20000), random_.randrange(0x110000)])
        if unicodedata.category(chr(point)) not in ("Cs", "Cn"):
            return chr(point)


def strings() -> list[str]:
    dice = random.Random(20240229)
    plain = [unescape(line) for line in PLAIN]
    made = ["", *plain, *SPECIAL, *SPACES, *(chr(c) for c in range(0x100))]
    made += [f"{a}{line}{b}" for line in plain for a, b in ((" ", ""), ("", " "), ("\n", "\r\n"), ("   ", "   "), ("\t", "\n\n"))]
    made += [f"{line[:dice.randrange(len(line))]}{dice.choice(SPECIAL)}{line[-3:]}" for line in plain for _ in range(3)]
    made += [space * n + end for space in SPACES for n in (2, 3, 4, 7, 8, 16, 33) for end in ("", "x", "1", "!")]
    made += ["".join(dice.choices(SPACES, k=dice.randint(2, 7))) + dice.choice(["", "a", ".", "9"]) for _ in range(250)]
    made += [c * n for c in "a1 -=世é😀'_.\u0301" for n in (2, 3, 5, 10, 31, 64, 257)]
    made += [dice.choice(["", " ", "-"]) + "".join(dice.choices("0123456789", k=n)) for n in range(1, 60)]
    made += ["'" + a + b + c for a in "sStTmMdDrRvVlLxſ" for b in "eElLxs" for c in ("", "y")]
    made += [dice.choice(["", " ", "  "]).join(dice.choices(WORDS, k=dice.randint(2, 12))) for _ in range(500)]
    made += ["".join(assigned(dice) for _ in range(dice.randint(1, 12))) for _ in range(500)]
    made += ["".join(dice.choice([assigned(dice), dice.choice(SPACES), dice.choice("aZ09'.")]) for _ in range(dice.randint(2, 20))) for _ in range(350)]
    made += ["".join(dice.choices(sorted(map(chr, range(0x20, 0x7F))), k=dice.randint(1, 40))) for _ in range(350)]
    made += ["".join(dice.choices(" '\n\rsSte1.", k=dice.randint(1, 12))) for _ in range(350)]
    return list(dict.fromkeys(made))


def tokenizer(kind: str, path: str) -> Tokenizer:
    fields = GGUFReader(path).fields

    def texts(key: str) -> list[str]:
        return [bytes(fields[key].parts[index]).decode() for index in fields[key].data]

    tokens = {text: token for token, text in enumerate(texts("tokenizer.ggml.tokens"))}
    merges = [tuple(pair.split(" ")) for pair in texts("tokenizer.ggml.merges")]
    made = Tokenizer(models.BPE(tokens, merges))
    cuts = [pre_tokenizers.Split(Regex(cut), "isolated") for cut in CUTS[kind]]
    made.pre_tokenizer = pre_tokenizers.Sequence([*cuts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return made


kind, model = sys.argv[1:]
oracle = tokenizer(kind, model)
rows = [[text, *oracle.encode(text, add_special_tokens=False).ids] for text in strings()]
out = Path(__file__).with_name(f"tokenizer-{kind}.jsonl")
out.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))
print(f"{out}: {len(rows)} strings, {sum(len(row) - 1 for row in rows)} tokens")
