# cmdai, as plugin managers of zsh take it: oh-my-zsh, zinit, antidote, antigen, zplug. It loads what the installed
# program prints, so that the two always fit.
if [[ -x ${${:-cmdai}:c} ]]; then 'builtin' 'eval' "$(cmdai init zsh)"
elif [[ -x ~/.local/bin/cmdai ]]; then 'builtin' 'eval' "$(~/.local/bin/cmdai init zsh)"
elif [[ -x ~/.cargo/bin/cmdai ]]; then 'builtin' 'eval' "$(~/.cargo/bin/cmdai init zsh)"
else 'builtin' 'print' -u2 -r -- 'cmdai: not found on PATH, in ~/.local/bin or ~/.cargo/bin; nothing is bound'
fi
