# cmdai for fish 3.6 or newer: Ctrl-G, or Enter on `# describe the task`, puts a command on the line. You press Enter.
# `?? ` at the start of a line becomes `# `.
#
# Set before loading:
#   CMDAI_KEY      key to use instead of \cg: \ct, `ctrl-t` or `alt-g`; empty binds none
#   CMDAI_COMMENT  0 leaves Enter and `??` alone
#   CMDAI_HISTORY  1 keeps the request in history (fish 4)
#   CMDAI_WARM_UP  0 keeps the words of a `# task` line from cmdai's server until you press Enter
#
# Text from the core is only ever given to `commandline -r --`. fish ends a bound function at Ctrl-C, so the core
# takes its own waiting sign back, and it drops the keys typed while it worked.

set -g __cmdai_bin '@CMDAI_BIN@'

# Below the line, which may fill several rows; then room for the prompt and the line to be drawn again: fish goes up as
# many rows as the cursor was below the start of the prompt.
function __cmdai_say --argument-names text
    test -n "$text"; or return 0
    set -l shown (string sub -l 500 -- (string split -m 1 \n -- $text)[1] | string replace -ra '[\p{C}]' '?')
    set -l prompt (fish_mode_prompt 2>/dev/null; fish_prompt 2>/dev/null)
    set -l above (__cmdai_rows (string length -V -- "$prompt[-1]") (commandline -c))
    set -l all (__cmdai_rows (string length -V -- "$prompt[-1]") (commandline -b))
    begin
        string repeat -N -n (math $all - $above + 1) \n
        printf 'cmdai: %s\n' "$shown"
        string repeat -N -n (math (count $prompt) + $above - 2) \n
    end >/dev/tty
    commandline -f repaint
end

# The rows that lines take on the screen, each of them indented by the width of the prompt.
function __cmdai_rows --argument-names indent
    set -l rows 0
    for width in (string length -V -- $argv[2..])
        set rows (math "$rows + 1 + floor(($indent + $width) / $COLUMNS)")
    end
    math "max($rows, 1)"
end

function __cmdai_menu --description 'a pager or a history search is open'
    commandline --paging-mode; or commandline --search-mode; or commandline --search-field >/dev/null 2>&1
end

function __cmdai_suggest
    if __cmdai_menu # the key keeps its meaning there
        commandline -f cancel
        return
    end
    set -l request (commandline -b | string collect)
    if not string match -qr '\S' -- "$request"
        __cmdai_say 'say in words what the command should do, then press the key'
        return
    end
    if not test -x $__cmdai_bin
        __cmdai_say "$__cmdai_bin: not found"
        return
    end
    # The sign is drawn below the line, so only where nothing of the line can be below the cursor.
    set -l sign
    test (commandline -C) -eq (string length -- "$request"); and set sign --tty-progress
    set -l answer (printf %s "$request" 2>/dev/null | command $__cmdai_bin widget --shell fish $sign 2>/dev/null | string collect -N)
    set -l rest (string replace -r '^[^\n]*\n' '' -- "$answer" | string collect)
    switch (string match -r '^[0-9]{1,3}(?=\n)' -- "$answer"; or echo none)[1]
        case 0
            __cmdai_put "$request" "$(string split -m 1 \n -- $rest)[1]" "$(string replace -r '^[^\n]*\n?' '' -- $rest)"
        case 130
            commandline -f repaint
        case none
            __cmdai_say "no answer from $__cmdai_bin; try: cmdai doctor"
        case '*'
            __cmdai_say (string match -r '.+' -- "$rest" 'no reason was given')[1]
    end
end

# fish draws an empty line for text with control characters, and Enter would run it unseen.
function __cmdai_put --argument-names request note command
    if test -z "$command"
        __cmdai_say 'the answer was empty'
    else if string match -qr '[^\P{C}\n\t]|[\x{2028}\x{2029}]' -- "$command"
        __cmdai_say 'the answer was refused: it holds characters that cannot be seen'
    else
        test "$CMDAI_HISTORY" = 1; and builtin history append -- "# "(string replace -r '^# +' '' -- $request) 2>/dev/null
        __cmdai_say "$note"
        commandline -r -- "$command"
        commandline -f end-of-buffer
    end
end

# `read` shares these bindings, so only the prompt counts; an open pager takes Enter for itself.
function __cmdai_enter
    set -l line (commandline -b | string collect)
    if test (status current-command) = fish; and not __cmdai_menu
        and string match -qr '^# +\S.*\z' -- "$line"
        __cmdai_suggest
    else if functions -q "$__cmdai_enter_was"; and not set -q __cmdai_nested
        set -g __cmdai_nested # it may hand Enter on to us
        $__cmdai_enter_was
        set -e __cmdai_nested
    else
        commandline -f execute
    end
end

function __cmdai_take_enter
    for mode in default insert visual
        # A function that took Enter (starship's transient prompt) is called for other lines.
        set -l was (bind --user -M $mode \r 2>/dev/null | string match -r -g '(?:\\\\r|enter) \'?(\w+)\'?$')
        contains -- "$was" '' __cmdai_enter; or set -g __cmdai_enter_was $was
        bind -M $mode \r __cmdai_enter
        bind -M $mode \n __cmdai_enter
    end
end

# Once, when everything is loaded: what took Enter after us would otherwise get the task lines.
function __cmdai_first_prompt --on-event fish_prompt
    functions --erase __cmdai_first_prompt
    test "$CMDAI_COMMENT" = 0; and return
    __cmdai_take_enter
    test -n '@CMDAI_SOCKET@' -a "$CMDAI_WARM_UP" != 0 -a "$CMDAI_SERVER" != 0; or return
    # fish cannot tell what is typed but by its keys. # itself is free in these modes; in vi's others it is not.
    set -g __cmdai_mode default
    test "$fish_key_bindings" = fish_default_key_bindings; or set __cmdai_mode insert
    bind --user -M $__cmdai_mode '#' >/dev/null 2>&1; or bind -M $__cmdai_mode '#' __cmdai_sign
end

# cmdai's server, in the background, with $argv as its business: to start as soon as a line begins with #, and at the
# spaces of that line to hear the words, so that it is ready at Enter.
function __cmdai_server
    test -x $__cmdai_bin; or return
    command $__cmdai_bin server $argv >/dev/null 2>&1 &
    disown $last_pid 2>/dev/null
end

function __cmdai_begin
    test -n "$__cmdai_mode" -a (status current-command) = fish; or return
    __cmdai_server start </dev/null
    bind --user -M $__cmdai_mode ' ' >/dev/null 2>&1; or bind -M $__cmdai_mode ' ' __cmdai_space
end

function __cmdai_sign
    test -z "$(commandline -b)"; and __cmdai_begin
    commandline -i '#'
end

function __cmdai_marks
    __cmdai_begin
    echo '#'
end

# Bound for a line that begins with #, until the first space on another; what it does for the line is what fish's does.
function __cmdai_space
    set -l line "$(commandline -b)"
    if test (status current-command) != fish; or not string match -q '#*' -- "$line"
        bind -e -M $__cmdai_mode ' '
    else if set -l words (string match -rg '^# +(\S.*)\z' -- "$line")
        printf %s $words | __cmdai_server warm --shell fish
    end
    commandline -i ' '
    commandline -f expand-abbr
end

function __cmdai_load
    set -l key \cg
    if set -q CMDAI_KEY
        set key (string replace -r '^(?:ctrl-|\^|\\\\C-)(.)$' '\\\\c$1' -- "$CMDAI_KEY" | string replace -r '^alt-(.)$' '\\\\e$1')
        set key (string unescape -- $key)
    end
    for mode in default insert visual
        test -n "$key"; and bind -M $mode $key __cmdai_suggest
    end
    test "$CMDAI_COMMENT" = 0; and return
    __cmdai_take_enter
    abbr --query '??'; or abbr --add --position command --function __cmdai_marks '??'
end
__cmdai_load
