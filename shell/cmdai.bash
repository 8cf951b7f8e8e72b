# shellcheck shell=bash
# cmdai for bash 4.4 or newer: Ctrl-G, or Enter on `# describe the task`, puts a command on the line. You press Enter.
# Ctrl-G again shows the next candidate, Alt-G explains the command on the line, `cmdai_unload` removes all of it.
#
# Set before loading:
#   CMDAI_KEY          key to use instead of \C-g: `\C-t`, `^T`, `ctrl-t` or `alt-g`; empty binds none
#   CMDAI_EXPLAIN_KEY  key to use instead of \eg
#   CMDAI_COMMENT      0 leaves Enter alone
#   CMDAI_HISTORY      0 keeps the request out of history
#
# cmdai's server hears nothing before Enter, as it does from zsh and fish: readline tells nobody what is typed, and with
# `bind -x` on # it would wipe the line and draw it again at every #, in `read -e` too.
#
# `cmdai init bash` wraps this file in a check of the version, so older ones need not parse it. Text from the core is
# only ever assigned to READLINE_LINE. A function here must work under any `set` and `shopt` option.

\builtin shopt -q expand_aliases && __cmdai_aliases=1
\builtin shopt -u expand_aliases # an alias on `local` would break the functions below
\builtin shopt -qo allexport && __cmdai_allexport=1
\builtin set +a # or every child would see them

__cmdai_bin='@CMDAI_BIN@'
# What we put on the line, the words it is for, and how many candidates they had.
__cmdai_put='' __cmdai_words='' __cmdai_nth=0
# What history lacks until the command is accepted.
__cmdai_kept=''
__cmdai_maps=(emacs-standard vi-insert vi-command)
__cmdai_unset=${__cmdai_unset-} # the hooks' variables that were not there before us

# Prints one line above the prompt, which readline then draws again.
__cmdai_say() {
  local text=${1%%$'\n'*} colour=''
  [[ $text ]] || return 0
  if __cmdai_deceptive "$text"; then text=${text//[^ -~]/?}; fi
  text=${text:0:500}
  [[ ${NO_COLOR-} || ${TERM-} == dumb ]] || case ${text%%:*} in
    safe) colour=32 ;;
    caution) colour=33 ;;
    dangerous) colour='1;31' ;;
  esac
  if [[ $colour ]]; then
    builtin printf 'cmdai: \e[%sm%s\e[m%s\n' "$colour" "${text%%:*}" "${text#"${text%%:*}"}" >/dev/tty
  else
    builtin printf 'cmdai: %s\n' "$text" >/dev/tty
  fi
}

# True for text that a terminal would not show as it is: C0, C1, bidi, zero-width, tags. Bytes, for every locale.
__cmdai_deceptive() {
  local LC_ALL=C bytes=${1//[$'\t\n']/}
  [[ $bytes == *[[:cntrl:]]* || $bytes == *$'\xc2'[$'\x80'-$'\x9f']* || $bytes == *$'\xd8\x9c'* ||
    $bytes == *$'\xe2\x80'[$'\x8b'-$'\x8f'$'\xa8'-$'\xae']* || $bytes == *$'\xe2\x81'[$'\xa0'-$'\xaf']* ||
    $bytes == *$'\xef\xbb\xbf'* || $bytes == *$'\xf3\xa0'[$'\x80\x81']* ]]
}

# Reads the keys that wait on $tty into `keys`.
__cmdai_keys() {
  local key
  keys=''
  # A short timeout alone can fire when the key is already taken, and lose it.
  while builtin read -t 0 -u "$tty" && IFS= builtin read -rs -n 1 -d '' -t 1 -u "$tty" key; do keys+=$key; done
}

# Takes the previews, whole lines that begin with ~, off the front of `answer` and draws the last one.
__cmdai_preview() {
  local text=''
  while [[ $answer == '~'*$'\n'* ]]; do
    text=${answer%%$'\n'*}
    answer=${answer:${#text}+1} # `#*` takes the square of the length
  done
  [[ ! $text ]] || __cmdai_draw "${text#\~}"
}

# Draws one row where the prompt stood, for the time of the wait only. What is not ASCII counts as two columns; nothing
# is drawn where it could not be taken back.
__cmdai_draw() {
  local wide width=${COLUMNS:-80}
  local text="cmdai: ${1:0:width}"
  waited=5
  [[ ${TERM-} != dumb ]] || return 0
  if __cmdai_deceptive "$text"; then text=${text//[^ -~]/?}; fi
  while [[ $text ]] && wide=${text//[[:ascii:]]/} && ((${#text} + ${#wide} >= width)); do text=${text%?}; done
  builtin printf '\r\e[K%s' "$text" >&"$tty"
}

# Reads what is there into `chunk`, byte by byte: a character may come in two pieces, of which a timeout would lose one.
__cmdai_read() {
  local LC_ALL=C
  chunk=''
  IFS= builtin read -r -d '' -t 0.03 -u "$fd" chunk
}

# Fills `answer` from the core for the request $1 and the options behind it; stop=1 if the person cancelled.
__cmdai_ask() {
  local fd pid chunk state waited=0 interrupt
  interrupt=$(builtin trap -p INT)
  builtin trap 'stop=1' INT
  exec {fd}< <(exec "$__cmdai_bin" widget --shell bash --stream "${@:2}" < <(builtin printf %s "$1") 2>/dev/null)
  pid=$!
  while [[ ! $stop ]] && ((${#answer} < 65536)); do
    __cmdai_read
    state=$?
    answer+=$chunk
    __cmdai_preview
    if ((state > 128)); then
      ((++waited != 5)) || __cmdai_draw 'thinking (Esc cancels)'
    elif ((state)); then
      break
    else
      answer+=$'\x01' # read ends at a NUL: mark it, so that the answer is refused
    fi
    __cmdai_keys
    case $keys in *$'\e' | *$'\a'* | *$'\x03'*) stop=1 ;; esac # a key such as Up only starts with Esc
  done
  exec {fd}<&-
  if [[ $stop ]] || ((state == 0)); then builtin kill -TERM "$pid"; fi
  ((waited < 5)) || [[ ${TERM-} == dumb ]] || builtin printf '\r\e[K' >&"$tty"
  if [[ $interrupt ]]; then builtin eval "$interrupt"; else builtin trap - INT; fi
}

# Takes `answer` apart: `status`, then for 0 `cursor`, `note` and `text`, for others `text` with the reason.
__cmdai_parse() {
  local first=${answer%%$'\n'*}
  text=${answer#*$'\n'}
  if [[ $first =~ ^0( ([0-9]{1,6}))?$ && $text == *$'\n'* ]]; then
    status=0 cursor=${BASH_REMATCH[2]} note=${text%%$'\n'*}
    text=${text#*$'\n'}
    text=${text%$'\n'}
    [[ $text ]] || status=1 text='the answer was empty'
  elif [[ $first =~ ^[1-9][0-9]?[0-9]?$ ]]; then
    status=$first text=${text:-no reason was given}
  else
    status=1 text="no answer from $__cmdai_bin; try: cmdai doctor"
  fi
}

# Asks the core and says why if there is nothing to show; the caller declares what the answer is taken apart into.
__cmdai_request() {
  local answer='' stop=''
  if [[ ! -x $__cmdai_bin ]]; then
    __cmdai_say "$__cmdai_bin: not found"
    return 1
  fi
  builtin exec {tty}<>/dev/tty
  __cmdai_ask "$@"
  [[ ! $stop ]] || return 1
  __cmdai_parse
  [[ $status == 130 || $status == 0 ]] || __cmdai_say "$text"
  [[ $status == 0 || $status == 5 ]]
}

# What a key does: $1 is suggest or explain.
__cmdai_press() {
  builtin export -n READLINE_LINE READLINE_POINT # or the request would stand in the core's environment
  local -
  set +aefux
  local tty='' keys IFS=$' \t\n'
  "__cmdai_$1"
  [[ $tty ]] || return 0
  __cmdai_keys # an Enter typed meanwhile must not run what nobody has read; readline now draws it
  builtin exec {tty}<&-
}

# True while the line is what we put there. Not [[ ]], for which nocasematch makes LS of ls.
__cmdai_untouched() { [[ $__cmdai_put ]] && builtin test "$READLINE_LINE" = "$__cmdai_put"; }

__cmdai_suggest() {
  local status='' cursor note text nth=1 words=$READLINE_LINE candidate=()
  if [[ $words != *[![:space:]]* ]]; then
    __cmdai_say 'say in words what the command should do, then press the key'
    return 0
  fi
  if __cmdai_untouched; then
    nth=$((__cmdai_nth + 1)) words=$__cmdai_words candidate=(--candidate "$nth")
  fi
  if ((nth > 5)); then
    status=5
  else
    __cmdai_request "$words" "${candidate[@]}" || return 0
  fi
  if [[ $status == 0 ]]; then
    __cmdai_offer
  elif ((nth > 1)); then
    READLINE_LINE=$words READLINE_POINT=0x7fffffff __cmdai_put='' __cmdai_kept=''
  fi
}

# Puts a command on the line.
__cmdai_offer() {
  if __cmdai_deceptive "$text"; then
    __cmdai_say 'the answer was refused: it holds characters that cannot be seen'
  elif [[ $text == '# '* && ! $__cmdai_enter ]] && ! builtin shopt -q interactive_comments; then
    __cmdai_say "$note" # Enter would run what stands behind a ; there
  else
    __cmdai_say "$note"
    __cmdai_put=$text __cmdai_words=$words __cmdai_nth=$nth
    __cmdai_kept=$words
    [[ $__cmdai_enter ]] || ((nth > 1)) || __cmdai_remember
    READLINE_LINE=$text
    __cmdai_place
  fi
}

# Sets the cursor, which is characters: bash before 5.0 counts bytes. Without one the end, to which readline cuts it.
__cmdai_place() {
  READLINE_POINT=0x7fffffff
  [[ $cursor ]] || return 0
  local before=${text:0:10#$cursor}
  ((BASH_VERSINFO[0] > 4)) || local LC_ALL=C
  READLINE_POINT=${#before}
}

# The request goes into history as a comment of one line, unless the person keeps one of the two lines out of there.
__cmdai_remember() {
  local - IFS=$' \t\n' words=$__cmdai_kept
  set +a
  __cmdai_kept=''
  [[ ${CMDAI_HISTORY-} != 0 && -o history && $READLINE_LINE == *[![:space:]]* ]] || return 0
  if [[ $__cmdai_enter ]] && builtin test "$READLINE_LINE" = "$words"; then return 0; fi
  case :${HISTCONTROL-}: in
    *:ignorespace:* | *:ignoreboth:*) [[ $words != ' '* && $READLINE_LINE != ' '* ]] || return 0 ;;
  esac
  words=${words#"${words%%[!#[:space:]]*}"}
  builtin history -s -- "# ${words//$'\n'/ }"
}

# Shows what the command on the line does, and leaves the line alone.
__cmdai_explain() {
  local status='' cursor note text row count
  if [[ $READLINE_LINE != *[![:space:]]* ]]; then
    __cmdai_say 'there is no command on the line to explain'
    return 0
  fi
  __cmdai_request "$READLINE_LINE" --explain && [[ $status == 0 ]] || return 0
  __cmdai_say "$note"
  text+=$'\n'
  for ((count = 0; count < 12; count++)); do
    row=${text%%$'\n'*}
    text=${text:${#row}+1}
    if __cmdai_deceptive "$row"; then row=${row//[^ -~]/?}; fi
    [[ ! $row ]] || builtin printf '%s\n' "${row:0:500}" >/dev/tty
  done
}

# Enter is a macro of two keys: this function, then one that does nothing until we have seen an ordinary line. $1 is the
# keymap, $2 the user's $_, handed back.
__cmdai_accept() {
  builtin bind -m "$1" '"\C-x\C-_C0\a": ""'
  if [[ $__cmdai_put == '# '* ]] && __cmdai_untouched; then
    __cmdai_say 'remove the # to run it'
  elif [[ $READLINE_LINE == '# '*[![:space:]]* && $READLINE_LINE != *$'\n'* && $__cmdai_at == 1 ]] &&
    builtin shopt -q promptvars && ! __cmdai_pasting; then
    __cmdai_press suggest
  else
    [[ ${PROMPT_COMMAND[*]-}${precmd_functions[*]-} == *__cmdai_mark* ]] || __cmdai_hook # a later rc line dropped it
    [[ ! $__cmdai_kept || $__cmdai_at != 1 ]] || __cmdai_remember
    builtin bind -m "$1" '"\C-x\C-_C0\a": accept-line'
  fi
  : "$2"
}

# bash < 5.1 pastes without brackets: then more input waits, and the comment is part of a script.
__cmdai_pasting() { ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 501)) && builtin read -r -t 0 </dev/tty; }

# No variable tells where we are, so the prompts do, without a fork: 1 the primary prompt, 2 PS2 (here-document, open
# quote), 0 a command runs (`read -e`). A new prompt also ends what was on the line before.
__cmdai_at=1
__cmdai_mark() {
  local status=$?
  __cmdai_at=1 __cmdai_put='' __cmdai_kept=''
  return "$status"
}

# Before the other hooks, never last: bash-preexec must find its own last one in its place.
__cmdai_hook() {
  local name
  for name in PS0 PROMPT_COMMAND precmd_functions; do
    [[ ${!name+set} ]] || __cmdai_unset+=" $name "
  done
  # shellcheck disable=SC2016,SC2154 # expanded by the prompt; never assigned, only its subscript counts
  [[ ${PS2-} == *__cmdai_at=2* ]] || PS2='${__cmdai_none[__cmdai_at=2]-}'${PS2-}
  # shellcheck disable=SC2016
  [[ ${PS0-} == *__cmdai_at=0* ]] || PS0='${__cmdai_none[__cmdai_at=0]-}'${PS0-}
  if [[ ${bash_preexec_imported-}${__bp_imported-} ]]; then
    [[ " ${precmd_functions[*]-} " == *' __cmdai_mark '* ]] || precmd_functions+=(__cmdai_mark)
  elif [[ ${PROMPT_COMMAND[*]-} != *__cmdai_mark* ]]; then
    # shellcheck disable=SC2178,SC2128 # of an array, this is the first element
    PROMPT_COMMAND=__cmdai_mark${PROMPT_COMMAND:+$'\n'$PROMPT_COMMAND}
  fi
}

# Takes our marks out of every variable into which a plugin may have copied them.
__cmdai_unhook() {
  local __cmdai_name __cmdai_slot __cmdai_value
  for __cmdai_name in $(builtin compgen -v); do
    [[ $__cmdai_name != __cmdai_* ]] || continue
    local -n __cmdai_hooks=$__cmdai_name
    [[ ${__cmdai_hooks[*]-} == *__cmdai_* ]] || continue
    if [[ $(builtin declare -p "$__cmdai_name") == 'declare -a'* ]]; then
      for __cmdai_slot in "${!__cmdai_hooks[@]}"; do
        __cmdai_clean "${__cmdai_hooks[$__cmdai_slot]}"
        __cmdai_hooks[$__cmdai_slot]=$__cmdai_value
        [[ $__cmdai_value ]] || builtin unset -v "__cmdai_hooks[$__cmdai_slot]"
      done
    else
      __cmdai_clean "$__cmdai_hooks"
      __cmdai_hooks=$__cmdai_value
    fi
    [[ ${__cmdai_hooks[*]-} || $__cmdai_unset != *" $__cmdai_name "* ]] || builtin unset -v "$__cmdai_name"
  done
}

# Sets the caller's value to $1 without our marks.
__cmdai_clean() {
  local mark
  __cmdai_value=$1
  # shellcheck disable=SC2016
  for mark in __cmdai_mark$'\n' '__cmdai_mark;' $'\n__cmdai_mark' ';__cmdai_mark' __cmdai_mark __cmdai_ble \
    '${__cmdai_none[__cmdai_at=2]-}' '${__cmdai_none[__cmdai_at=0]-}'; do
    __cmdai_value=${__cmdai_value//"$mark"/}
  done
}

# Lists the bindings of all keymaps. For all of readline's functions that takes 2 ms a keymap; `quick` asks for those
# alone that our keys stand for without us, of which readline names five keys each: hence the -r before that of \C-g.
__cmdai_list() {
  local map name
  if [[ $1 == quick ]]; then
    for name in a b c e f; do builtin bind -m vi-insert -r "\\C-$name"; done
  fi
  for map in "${__cmdai_maps[@]}"; do
    builtin printf '@%s\n' "$map"
    if [[ $1 == quick ]]; then
      for name in abort accept-line glob-complete-word self-insert; do builtin bind -m "$map" -q "$name"; done
    else
      builtin bind -m "$map" -p
    fi
    builtin bind -m "$map" -s
    builtin printf '@x\n'
    builtin bind -m "$map" -X
    builtin printf '@end\n'
  done
}

# Sets `old` to what key $2 of keymap $1 does by `list`: `f FUNCTION`, `m "MACRO"`, `x "COMMAND"`, or nothing. Cuts from
# the right, since `#*` takes the square of the length. 4.4 lists commands that are bound no more, so those come last.
__cmdai_find() {
  local LC_ALL=C part before kind=m
  old=''
  before=${list%%"@$1"$'\n'*}
  part=${list:${#before}}
  part=${part%%$'\n@end'*}
  before=${part%%"\"$2\""[,.]*}
  if [[ $before != "$part" ]]; then
    before=${before##*$'\n'}
    old="f ${before%% *}"
    return
  fi
  before=${part%%$'\n'"\"$2\""[: ]*}
  [[ $before != "$part" ]] || return 0
  part=${part:${#before}+${#2}+3}
  part=${part%%$'\n'*}
  part=${part#:}
  [[ $before != *$'\n@x'* ]] || kind=x
  [[ $part == ' "'* ]] || kind=f
  old=$kind$part
}

# Takes key $2 of keymap $1 and keeps what it did, unless it is somebody else's and the person did not choose it ($3).
__cmdai_take() {
  __cmdai_find "$1" "$2"
  # In vi-command, \eg does nothing by itself.
  if [[ ! $old && ! $full && ( $3 || $1$2 != 'vi-command\eg' ) ]]; then
    full=1 list=$(__cmdai_list full)
    __cmdai_find "$1" "$2"
  fi
  case $old in
    *__cmdai_* | *'\C-x\C-_C'*) old='' ;; # of a version that kept no record
    '' | 'f abort' | 'f accept-line' | 'f glob-complete-word' | 'f self-insert') ;;
    *) [[ $3 ]] || { __cmdai_tell "$2" && return 1; } ;;
  esac
  __cmdai_was["$1 $2"]=$old
}

# Notes for `cmdai doctor` that key $1 stays with `old`.
__cmdai_tell() {
  local name
  case $1 in
    '\C-m') name=enter ;;
    '\e'?) name=alt-${1: -1} ;;
    *) name=ctrl-${1: -1} ;;
  esac
  old=${old#? }
  old=${old#\"}
  [[ "; $taken" == *"; $name: "* ]] || taken+="${taken:+; }$name: ${old%\"}"
}

# Gives key $2 of keymap $1 to __cmdai_press $3; $4 is set if the person chose it.
__cmdai_bind() {
  if [[ $2 ]] && __cmdai_take "$1" "$2" "$4"; then
    builtin bind -m "$1" -x "\"$2\": { __cmdai_press $3; } 2>/dev/null || :"
  fi
}

# Makes a macro of Enter in keymap $1.
__cmdai_bind_enter() {
  local key chord="\\C-x\\C-_C${1//[^a-z]/}\\a"
  for key in '\C-m' '\C-j'; do
    __cmdai_take "$1" "$key" '' || continue
    __cmdai_enter+=" $1 "
    builtin bind -m "$1" "\"$key\": \"$chord\\C-x\\C-_C0\\a\""
  done
  [[ $__cmdai_enter == *" $1 "* ]] || return 0
  builtin bind -m "$1" -x "\"$chord\": { __cmdai_accept $1 \"\$_\"; } 2>/dev/null || :"
  builtin bind -m "$1" '"\C-x\C-_C0\a": accept-line'
}

# Gives all keys back that are still ours.
__cmdai_unbind() {
  local list old slot map key
  [[ ${__cmdai_was[*]+set} ]] || return 0
  list=$(__cmdai_list quick)
  for slot in "${!__cmdai_was[@]}"; do
    map=${slot%% *} key=${slot#* }
    __cmdai_find "$map" "$key"
    [[ $old != *__cmdai_* && $old != *'\C-x\C-_C'* ]] || __cmdai_restore "$map" "$key" "${__cmdai_was["$slot"]}"
  done
  for map in "${__cmdai_maps[@]}"; do
    [[ $__cmdai_enter == *" $map "* ]] || continue
    builtin bind -m "$map" -r "\\C-x\\C-_C${map//[^a-z]/}\\a"
    builtin bind -m "$map" -r '\C-x\C-_C0\a'
  done
}

# Binds key $2 of keymap $1 to what __cmdai_find found it bound to. Only 5.3 reads its own list of commands.
__cmdai_restore() {
  local command=${3#x \"}
  builtin bind -m "$1" -r "$2"
  case $3 in
    '') ;;
    x*)
      command=${command%\"}
      command=${command//\\\"/\"}
      builtin bind -m "$1" -x "\"$2\": ${command//\\\\/\\}"
      ;;
    *) builtin bind -m "$1" "\"$2\": ${3#? }" ;;
  esac
}

# ble.sh reads macros in its own way and would run the suggestion; it has widgets of its own.
# shellcheck disable=SC2154 # its variables
__cmdai_ble() {
  function ble/widget/cmdai-suggest {
    local READLINE_LINE=$_ble_edit_str READLINE_POINT=$_ble_edit_ind
    __cmdai_suggest || :
    ble-edit/content/reset-and-check-dirty "$READLINE_LINE"
    ((_ble_edit_ind = READLINE_POINT < ${#_ble_edit_str} ? READLINE_POINT : ${#_ble_edit_str}))
    ble/widget/redraw-line
  }
  function ble/widget/cmdai-enter {
    if [[ $_ble_edit_str == '# '*[![:space:]]* && $_ble_edit_str != *$'\n'* && $__cmdai_at == 1 ]]; then
      ble/widget/cmdai-suggest
    else
      ble/widget/accept-single-line-or-newline
    fi
  }
  local map
  for map in emacs vi_imap; do
    [[ ${CMDAI_KEY-g} ]] && ble-bind -m "$map" -f C-g cmdai-suggest
    [[ ${CMDAI_COMMENT-} == 0 ]] || { ble-bind -m "$map" -f C-m cmdai-enter && ble-bind -m "$map" -f RET cmdai-enter; }
  done
}

# Sets `key` to readline's spelling of $1.
__cmdai_spell() {
  key=$1
  case $1 in
    ctrl-? | ^?) key=${1: -1} key=\\C-${key,} ;;
    alt-?) key=\\e${1: -1} ;;
  esac
}

# The `2>/dev/null` of the bindings keeps `set -x` quiet; the `|| :` keeps `set -e` from ending the shell.
__cmdai_load() {
  local map key explain list old full='' taken=''
  [[ ! ${__cmdai_was[*]+set} ]] || __cmdai_unbind
  builtin declare -gA __cmdai_was
  __cmdai_was=() __cmdai_enter=''
  __cmdai_spell "${CMDAI_EXPLAIN_KEY-alt-g}"
  explain=$key
  __cmdai_spell "${CMDAI_KEY-ctrl-g}"
  [[ $explain != "$key" ]] || explain=''
  list=$(__cmdai_list quick)
  for map in "${__cmdai_maps[@]}"; do
    __cmdai_bind "$map" "$key" suggest "${CMDAI_KEY+chosen}"
    # There Esc and then g would be \eg.
    [[ $map == vi-insert && ! ${CMDAI_EXPLAIN_KEY-} ]] ||
      __cmdai_bind "$map" "$explain" explain "${CMDAI_EXPLAIN_KEY+chosen}"
    [[ ${CMDAI_COMMENT-} == 0 ]] || __cmdai_bind_enter "$map"
  done
  __cmdai_hook
  if [[ $taken ]]; then
    builtin export CMDAI_KEYS_TAKEN="$taken"
  else
    builtin unset -v CMDAI_KEYS_TAKEN
  fi
  [[ ! ${BLE_VERSION-} ]] || __cmdai_ble
  [[ " ${BLE_ONLOAD[*]-} " == *' __cmdai_ble '* ]] || BLE_ONLOAD+=(__cmdai_ble)
}

# Removes all of it.
cmdai_unload() {
  local -
  set +aefux
  local IFS=$' \t\n'
  __cmdai_unbind
  __cmdai_unhook
  builtin unset -f $(builtin compgen -A function __cmdai_) cmdai_unload
  builtin unset -v CMDAI_KEYS_TAKEN "${!__cmdai_@}"
}

__cmdai_load || \builtin :

\builtin test -z "${__cmdai_allexport-}" || \builtin set -a
\builtin test -z "${__cmdai_aliases-}" || \builtin shopt -s expand_aliases
\builtin unset -v __cmdai_aliases __cmdai_allexport
