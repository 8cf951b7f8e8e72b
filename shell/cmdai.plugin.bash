# shellcheck shell=bash
# cmdai for bash-it and oh-my-bash, which find this file by its name.
if __cmdai_bin=$(PATH=$PATH:~/.local/bin:~/.cargo/bin && \builtin type -P cmdai); then
  \builtin eval "$("$__cmdai_bin" init bash)"
elif [[ $- == *i* ]]; then
  \builtin printf 'cmdai: no program on PATH, in ~/.local/bin or in ~/.cargo/bin: Ctrl-G is not bound\n' >&2
fi
