# For fisher: `fisher install PATH` of the folder above this one. Or copy this file into ~/.config/fish/conf.d.
if status is-interactive
    set -l program (command -s cmdai $HOME/.local/bin/cmdai $HOME/.cargo/bin/cmdai)[1]
    if test -n "$program"
        $program init fish | source
    else
        echo 'cmdai: not found on PATH, in ~/.local/bin or in ~/.cargo/bin' >&2
    end
end
function __cmdai_uninstall --on-event cmdai_uninstall
    functions -q cmdai_unload; and cmdai_unload
end
