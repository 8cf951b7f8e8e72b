# cmdai for fish 3.6 or newer: Ctrl-G, or Enter on `# describe the task`, puts a command on the line. You press Enter.
# Ctrl-G again shows another command. Alt-G says what the command on the line does. `?? ` at the start of a line becomes
# `# `. `cmdai_unload` takes all of it away again.
#
# Set in config.fish or before:
#   CMDAI_KEY          key to use instead of ctrl-g: \ct, `ctrl-t` or `alt-x`; empty binds none
#   CMDAI_EXPLAIN_KEY  the same for alt-g
#   CMDAI_COMMENT      0 leaves Enter and `??` alone
#   CMDAI_HISTORY      0 keeps the words out of history
#   CMDAI_WARM_UP      0 keeps the words of a `# task` line from cmdai's server until you press Enter
#
# Text from the core is only ever given to `commandline -r --`. fish ends a bound function at Ctrl-C, so the core
# takes its own waiting sign back, and it drops the keys typed while it worked. `builtin` because of aliases, a local
# IFS because an empty one keeps `(...)` from splitting lines.

set -g __cmdai_bin '@CMDAI_BIN@'

# Prints the message below the line, which may fill several rows, and the other arguments below it, a row each.
function __cmdai_say
    __cmdai_print 0 $argv
end

# The same in the place of the line and of the $over rows above its prompt, if not 0. Then room for the prompt and the
# line to be drawn again: fish goes up as many rows as the cursor was below the start of the prompt.
function __cmdai_print --argument-names over message
    set -l IFS \n
    set -l prompt (fish_mode_prompt 2>/dev/null; fish_prompt 2>/dev/null)
    set -l indent (__cmdai_width "$prompt[-1]")
    set -l above (__cmdai_rows $indent (builtin commandline -c))
    set -l up (builtin math "max(0, $(builtin count $prompt) + $above - 2)")
    begin
        # After the end stand fish's own suggestions: their place is not below an old line.
        test (builtin commandline -C) -eq (string length -- "$__cmdai_line"); and builtin printf '\e[J'
        if test $over != 0
            builtin printf '\e[%dA\r\e[J' (builtin math $up + $over)
        else
            string repeat -N -n (builtin math "$(__cmdai_rows $indent (builtin commandline -b)) - $above + 1") \n
        end
        builtin printf '%s\n' (__cmdai_message $message) (__cmdai_visible '  '$argv[3..])
        string repeat -N -n $up \n
    end >/dev/tty
    set -e __cmdai_noted
    builtin commandline -f repaint
end

# A character that fish and the terminal would not show becomes a question mark.
function __cmdai_visible
    set -q argv[1]; or return
    string sub -l 500 -- $argv | string replace -ra '[\p{C}]' '?'
end

# The first line of the text, coloured if it is a risk.
function __cmdai_message --argument-names text
    set -l shown cmdai:\ (__cmdai_visible (string split -m 1 \n -- $text)[1])
    set -l colour (string match -r '^cmdai: (?:safe|caution|dangerous)\b' -- $shown)
    switch "$colour"
        case '*safe'
            set colour 32
        case '*caution'
            set colour 33
        case '*dangerous'
            set colour '1;31'
    end
    if test -n "$colour" -a -z "$NO_COLOR" -a "$TERM" != dumb
        set shown (string replace -r '(?<=^cmdai: )\w+' \e"[$colour"'m$0'\e'[m' -- $shown)
    end
    builtin printf '%s\n' $shown
end

# fish cuts a prompt that is wider than the screen.
function __cmdai_width
    builtin math "min($(string length -V -- $argv[1]), $COLUMNS - 1)"
end

# The rows that lines take on the screen, each of them indented by the width of the prompt.
function __cmdai_rows --argument-names indent
    set -l rows 0
    for line in $argv[2..]
        set -l width (string length -V -- "$line")
        if test $width = (string length -- "$line")
            set rows (builtin math "$rows + 1 + floor(($indent + $width) / $COLUMNS)")
        else
            set rows (builtin math $rows + (__cmdai_wide_rows $indent $line))
        end
    end
    builtin math "max($rows, 1)"
end

# Those of a line with characters of other widths: a wide one never stands half in a row.
function __cmdai_wide_rows --argument-names column line
    set -l rows 1
    for width in (string split '' -- $line | string length -V)
        set column (builtin math $column + $width)
        if test $column -gt $COLUMNS
            set rows (builtin math $rows + 1)
            set column $width
        end
    end
    builtin math "$rows + floor($column / $COLUMNS)"
end

function __cmdai_menu --description 'a pager is open'
    builtin commandline --paging-mode; or builtin commandline --search-field >/dev/null 2>&1
end

# Puts the whole line into __cmdai_line: `(...)` drops the newlines at the end, and the line would not be the same.
function __cmdai_read
    set -l IFS \n
    set -l lines (builtin commandline -b)
    set -g __cmdai_line "$lines[1]"
    for line in $lines[2..]
        set __cmdai_line $__cmdai_line\n$line
    end
end

# The sign is drawn below the cursor, so only where nothing of the line can be there.
function __cmdai_at_end
    set -l IFS \n
    test (builtin commandline -C) -eq (string length -- "$__cmdai_line"); and return
    set -l prompt (fish_prompt 2>/dev/null)
    set -l indent (__cmdai_width "$prompt[-1]")
    test (__cmdai_rows $indent (builtin commandline -c)) -eq (__cmdai_rows $indent (builtin commandline -b))
end

# Asks the core about the text $argv[1], the rest is for its command line. Returns 0 with the cursor, the note and the
# text in __cmdai_answer, 5 with the reason there, otherwise 1: all is said.
function __cmdai_ask --argument-names text
    if not test -x $__cmdai_bin
        __cmdai_say "$__cmdai_bin: not found"
        return 1
    end
    set -l flags $argv[2..]
    __cmdai_at_end; and set -p flags --tty-progress
    set -l answer (builtin printf %s "$text" 2>/dev/null |
        command $__cmdai_bin widget --shell fish $flags 2>/dev/null | string collect -N)
    set -l rest (string replace -r '^[^\n]*\n' '' -- "$answer" | string collect)
    set -l first (string match -r '^[0-9]{1,3}(?: [0-9]{1,6})?(?=\n)' -- "$answer" | string split ' ')
    switch "$first[1]"
        case 0
            set -l note (string split -m 1 \n -- $rest)[1]
            set -g __cmdai_answer "$first[2]" "$note" "$(string replace -r '^[^\n]*\n?' '' -- $rest)"
            return 0
        case 5
            set -g __cmdai_answer (string match -r '.+' -- "$rest" 'no more commands')[1]
            return 5
        case 130
            builtin commandline -f repaint
        case ''
            __cmdai_say "no answer from $__cmdai_bin; try: cmdai doctor"
        case '*'
            __cmdai_say (string match -r '.+' -- "$rest" 'no reason was given')[1]
    end
    return 1
end

# On a suggestion that was not touched, asks about the words that led to it for another one.
function __cmdai_suggest
    if __cmdai_menu # the key keeps its meaning there
        builtin commandline -f cancel
        return
    end
    __cmdai_read
    set -l words $__cmdai_line
    set -l count 1
    if set -q __cmdai_put; and test "$words" = "$__cmdai_put"
        set words $__cmdai_words
        set count (builtin math $__cmdai_count + 1)
    else
        set -e __cmdai_put
    end
    if not string match -qr '\S' -- "$words"
        __cmdai_say 'say in words what the command should do, then press the key'
    else if test $count -gt 5
        __cmdai_give_back 'no more commands'
    else
        set -l nth
        test $count -gt 1; and set nth --candidate $count
        __cmdai_ask "$words" $nth
        switch $status
            case 0
                __cmdai_put "$words" $count $__cmdai_answer
            case 5
                __cmdai_give_back $__cmdai_answer
        end
    end
end

function __cmdai_give_back --argument-names reason
    __cmdai_tell $reason
    builtin commandline -r -- $__cmdai_words
    __cmdai_end
end

# A note for the line to come, in the place of the note before where nothing but the line came after it.
function __cmdai_tell --argument-names note
    test -n "$note"; or return 0
    set -l rows (__cmdai_rows 0 (__cmdai_visible "cmdai: $note"))
    set -l over 0
    set -q __cmdai_put; and test "$__cmdai_noted[2]" = $COLUMNS; and set over $__cmdai_noted[1]
    __cmdai_print $over $note
    set -g __cmdai_noted $rows $COLUMNS
end

# fish draws an empty line for text with control characters, and Enter would run it unseen.
function __cmdai_put --argument-names words count cursor note command
    if test -z "$command"
        __cmdai_say 'the answer was empty'
    else if string match -qr '[^\P{C}\n\t]|[\x{2028}\x{2029}]' -- "$command"
        __cmdai_say 'the answer was refused: it holds characters that cannot be seen'
    else
        __cmdai_tell "$note"
        builtin commandline -r -- "$command"
        test -n "$cursor"; and builtin commandline -C $cursor
        __cmdai_read
        set -g __cmdai_put $__cmdai_line
        set -g __cmdai_words $words
        set -g __cmdai_count $count
    end
end

# A new line: neither the words nor the suggestion of the one before count any more.
function __cmdai_end --on-event fish_prompt --on-event fish_cancel
    set -e __cmdai_put __cmdai_words __cmdai_count __cmdai_noted __cmdai_answer __cmdai_line __cmdai_nested
end

function __cmdai_explain
    __cmdai_menu; and return
    __cmdai_read
    if not string match -qr '\S' -- "$__cmdai_line"
        __cmdai_say 'type a command, then press the key to see what it does'
    else if __cmdai_ask "$__cmdai_line" --explain
        __cmdai_say "$__cmdai_answer[2]" (string split \n -- $__cmdai_answer[3])[1..12]
    end
end

# Keeps the words as a comment before the command that came of them. A line of the words must not become a command, so
# they are one line. What fish leaves out, we leave out.
function __cmdai_remember
    set -q __cmdai_words; and test "$CMDAI_HISTORY" != 0; or return
    set -l line (string match -r '^ ?' -- $__cmdai_words)"# "(string trim -lc ' #' -- $__cmdai_words | string join ' ')
    set -e __cmdai_words
    if builtin functions -q fish_should_add_to_history
        fish_should_add_to_history $line; or return
    else if string match -q ' *' -- $line
        return
    end
    if string match -q '3.*' -- $version
        __cmdai_remember_3 $line
    else
        builtin history append -- $line 2>/dev/null
    end
end

# fish before 4.0 takes in nothing but what was run, and what it reads in its file.
function __cmdai_remember_3 --argument-names line
    set -q fish_private_mode; and return
    set -l name fish
    set -q fish_history; and test "$fish_history" != default; and set name $fish_history
    set -l file $__fish_user_data_dir/{$name}_history
    test -n "$name"; or return
    test -e $file; or command install -m 600 /dev/null $file 2>/dev/null
    test -f $file -a -w $file; or return
    builtin history save
    builtin printf '%s cmd: %s\n  when: %s\n' - (string replace -a \\ \\\\ -- $line) (command date +%s) >>$file
    builtin history merge
end

# `read` shares these bindings, so only the prompt counts; an open pager takes Enter for itself.
function __cmdai_enter
    __cmdai_read
    if test (status current-command) != fish; or __cmdai_menu
        __cmdai_hand_on
    else if test "$__cmdai_line" = "$__cmdai_put"; and string match -q '# *' -- "$__cmdai_line"
        __cmdai_say 'remove the # to run it'
    else if string match -qr '^# +\S.*\z' -- "$__cmdai_line"
        __cmdai_suggest
    else
        set -q __cmdai_words; and builtin commandline --is-valid; and __cmdai_remember
        __cmdai_hand_on
    end
end

# In vi's bindings, default is the mode for commands.
function __cmdai_vi
    builtin bind --preset -M default \r 2>/dev/null | string match -q '*-m insert*'
end

# Does what Enter did before us, such as starship's transient prompt; that may hand Enter on to us.
function __cmdai_hand_on
    set -l was __cmdai_enter_$fish_bind_mode
    if not set -q $was; or set -q __cmdai_nested
        test "$fish_bind_mode" = default; and __cmdai_vi; and set fish_bind_mode insert # as fish's own binding does
        builtin commandline -f execute
        return
    end
    set -g __cmdai_nested
    for bound in $$was
        if builtin contains -- $bound (builtin bind --function-names)
            builtin commandline -f $bound
        else
            eval $bound # the person's own, as fish would
        end
    end
    set -e __cmdai_nested
end

# The functions below get the bindings of the mode that are not fish's own as their last arguments: to ask fish about
# each key would be most of what loading takes.

# Binds $key in $mode and keeps the binding that it had for __cmdai_unload, but for ours.
function __cmdai_bind --argument-names mode key command
    set -l was
    set -q argv[4]; and set was (builtin bind --user -M $mode $key 2>/dev/null)
    string match -q '*__cmdai_*' -- "$was"; or set -ga __cmdai_keys $mode $key "$was"
    builtin bind -M $mode $key $command
end

# The same where the person chose the key, which leaves $name empty, or nobody has it or one that begins with it: fish
# would wait for the rest.
function __cmdai_take --argument-names mode name short key command
    set -l IFS \n
    test -n "$key"; or return
    set -l pattern '^bind (?:-[Mm] \S+ |-s )*(?:'$name'\b|\\\\'$short')\S* (?!'$command')(?<owner>.*)'
    if test -z "$name"; or not string match -rq $pattern -- $argv[6..]
        __cmdai_bind $mode $key $command $argv[6..]
    else if not string match -q '__cmdai_*' -- "$owner" # the key that the person chose for the other
        set -l entry "$name: $(string sub -l 100 -- "$owner")"
        builtin contains -- $entry $__cmdai_taken; or set -ga __cmdai_taken $entry
    end
end

# The key as fish writes it in a script.
function __cmdai_key
    string replace -r '^(?:ctrl-|\^|\\\\C-)(.)$' '\\\\c$1' -- $argv |
        string replace -r '^alt-(.)$' '\\\\e$1' | string unescape
end

function __cmdai_take_enter --argument-names mode
    set -l IFS \n
    if set -q argv[2]
        set -l was (builtin bind --user -M $mode \r 2>/dev/null)
        if test -n "$was"; and not string match -q '*__cmdai_enter*' -- $was
            string replace -r '^bind (?:-[Mm] \S+ |-s )*\S+ ' '' -- $was | read --tokenize -ga __cmdai_enter_$mode
        end
    end
    __cmdai_bind $mode \r __cmdai_enter $argv[2..]
    set -q argv[2]; and builtin bind --user -M $mode \n >/dev/null 2>&1
    or __cmdai_bind $mode \n __cmdai_enter
end

# Once, when all is loaded: conf.d comes before config.fish with the settings, and what took a key there would
# otherwise get the task lines.
function __cmdai_first_prompt --on-event fish_prompt
    builtin functions --erase __cmdai_first_prompt
    set -l IFS \n
    set -l key \cg
    set -l explain \eg
    set -l names ctrl-g alt-g
    set -q CMDAI_KEY; and set names[1] ''; and set key (__cmdai_key $CMDAI_KEY)
    set -q CMDAI_EXPLAIN_KEY; and set names[2] ''; and set explain (__cmdai_key $CMDAI_EXPLAIN_KEY)
    set -e __cmdai_taken
    for mode in default insert visual
        set -l bound (builtin bind --user -M $mode 2>/dev/null)
        __cmdai_take $mode "$names[1]" cg "$key" __cmdai_suggest $bound
        set -q CMDAI_KEY; and set bound (builtin bind --user -M $mode)
        __cmdai_take $mode "$names[2]" eg "$explain" __cmdai_explain $bound
        test "$CMDAI_COMMENT" = 0; or __cmdai_take_enter $mode $bound
    end
    set -eg CMDAI_KEYS_TAKEN
    set -q __cmdai_taken; and set -gx CMDAI_KEYS_TAKEN (string join '; ' -- $__cmdai_taken)
    if test "$CMDAI_COMMENT" = 0
        __cmdai_forget_marks
        return
    end
    test -n '@CMDAI_SOCKET@' -a "$CMDAI_WARM_UP" != 0 -a "$CMDAI_SERVER" != 0; or return
    # fish cannot tell what is typed but by its keys. # itself is free in these modes; in vi's others it is not.
    set -g __cmdai_mode default
    __cmdai_vi; and set __cmdai_mode insert
    builtin bind --user -M $__cmdai_mode '#' >/dev/null 2>&1; or __cmdai_bind $__cmdai_mode '#' __cmdai_sign
end

# cmdai's server, in the background, with $argv as its business: to start as soon as a line begins with #, and at the
# spaces of that line to hear the words, so that it is ready at Enter.
function __cmdai_server
    test -x $__cmdai_bin; or return
    command $__cmdai_bin server $argv >/dev/null 2>&1 &
    builtin disown $last_pid 2>/dev/null
end

function __cmdai_begin
    test -n "$__cmdai_mode" -a (status current-command) = fish; or return
    __cmdai_server start </dev/null
    builtin bind --user -M $__cmdai_mode ' ' >/dev/null 2>&1; or builtin bind -M $__cmdai_mode ' ' __cmdai_space
end

function __cmdai_sign
    test -z "$(builtin commandline -b)"; and __cmdai_begin
    builtin commandline -i '#'
end

# `??` becomes # where it begins the line, not in the other places that a command can have. As the function fails
# there, fish leaves the text as it is.
function __cmdai_marks
    string match -qr '^\?\?\s?\z' -- "$(builtin commandline -bc)"; and test (status current-command) = fish; or return
    __cmdai_begin
    builtin printf '#\n'
end

function __cmdai_forget_marks
    builtin abbr --show | string match -q '*__cmdai_marks*'; and builtin abbr --erase '??'
end

# Bound for a line that begins with #, until the first space on another; what it does for the line is what fish's does.
function __cmdai_space
    set -l line "$(builtin commandline -b)"
    if test (status current-command) != fish; or not string match -q '#*' -- "$line"
        builtin bind -e -M $__cmdai_mode ' '
    else if set -l words (string match -rg '^# +(\S.*)\z' -- "$line")
        builtin printf %s $words | __cmdai_server warm --shell fish
    end
    builtin commandline -i ' '
    builtin commandline -f expand-abbr
end

function cmdai_unload --description 'take cmdai out of this shell'
    set -l IFS \n
    while set -q __cmdai_keys[1]
        # What was bound over ours since then stays.
        if builtin bind --user -M $__cmdai_keys[1..2] 2>/dev/null | string match -q '*__cmdai_*'
            builtin bind -e -M $__cmdai_keys[1..2]
            string match -e 'bind ' -- $__cmdai_keys[3] | read --tokenize -la was; and builtin bind $was[2..]
        end
        set -e __cmdai_keys[1..3]
    end
    test -n "$__cmdai_mode"
    and builtin bind --user -M $__cmdai_mode ' ' 2>/dev/null | string match -q '*__cmdai_*'
    and builtin bind -e -M $__cmdai_mode ' '
    __cmdai_forget_marks
    set -eg CMDAI_KEYS_TAKEN
    set -eg (set -ng | string match '__cmdai_*')
    builtin functions -e (builtin functions -na | string match '__cmdai_*') cmdai_unload
end

if test "$CMDAI_COMMENT" != 0
    builtin abbr --query '??'; or builtin abbr --add --position command --function __cmdai_marks '??'
end
