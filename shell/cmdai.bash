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

# Lists the bindings of every keymap: a function, macros, accept-line, commands. All of readline's functions take 2 ms a
# keymap; `quick` asks for those alone that our keys stand for without us, of which readline names five keys each: hence
# the -r of the keys before \C-g. Few calls, since each is a write to the pipe.
__cmdai_list() {
  local map key
  for map in "${__cmdai_maps[@]}"; do
    if [[ $1 == full ]]; then
      builtin bind -m "$map" -q abort
      builtin bind -m "$map" -ps -q accept-line -X
      continue
    elif [[ $map == vi-insert ]]; then
      for key in a b c e f; do builtin bind -m "$map" -r "\\C-$key"; done
      builtin bind -m "$map" -q self-insert
    else
      builtin bind -m "$map" -q abort
      [[ $map == vi-command ]] || builtin bind -m "$map" -q glob-complete-word
    fi
    builtin bind -m "$map" -s -q accept-line -X
  done
}

# Opens the list of the bindings, which another process makes: at loading, while this one parses what follows.
__cmdai_open_list() {
  builtin bind -q abort >/dev/null # starts readline here, so that the fork need not
  exec {__cmdai_listed}< <(__cmdai_list "$1")
}
[[ ${BLE_VERSION-}${__cmdai_was[*]+set} ]] || __cmdai_open_list quick

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
  local first=${answer%%$'\n'*} # not by =~, which would overwrite the person's BASH_REMATCH
  text=${answer#*$'\n'}
  cursor=${first#0}
  if [[ $first == 0* && $cursor == ?(' '+([0123456789])) && ${#cursor} -le 7 && $text == *$'\n'* ]]; then
    status=0 cursor=${cursor# } note=${text%%$'\n'*}
    text=${text#*$'\n'}
    text=${text%$'\n'}
    [[ $text ]] || status=1 text='the answer was empty'
  elif [[ $first == [123456789]*([0123456789]) && ${#first} -le 3 ]]; then
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
  # Or the request would stand in the core's environment; with `set -a`, the prompt exported the last three.
  builtin export -n READLINE_LINE READLINE_POINT __cmdai_put __cmdai_words __cmdai_kept
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
  [[ ${CMDAI_HISTORY-} != 0 && $READLINE_LINE == *[![:space:]]* ]] || return 0
  if [[ $__cmdai_enter ]] && builtin test "$READLINE_LINE" = "$words"; then return 0; fi
  case :${HISTCONTROL-}: in
    *:ignorespace:* | *:ignoreboth:*) [[ $words != ' '* && $READLINE_LINE != ' '* ]] || return 0 ;;
  esac
  words=${words#"${words%%[!#[:space:]]*}"}
  words="# ${words//$'\n'/ }"
  if [[ ${BLE_ATTACHED-} ]]; then
    ble/builtin/history -s "$words"
  elif [[ -o history ]]; then
    builtin history -s -- "$words"
  fi
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

# True for a dangerous suggestion as it was put there, behind a #.
__cmdai_is_commented() { [[ $__cmdai_put == '# '* ]] && __cmdai_untouched; }

__cmdai_is_task() { [[ $READLINE_LINE == '# '*[![:space:]]* && $READLINE_LINE != *$'\n'* && $__cmdai_at == 1 ]]; }

# An ordinary line is accepted: the words that it came of go into history before it.
__cmdai_accepted() { [[ ! $__cmdai_kept || $__cmdai_at != 1 ]] || __cmdai_remember; }

# Enter is a macro of two keys: this function, then one that does nothing until we have seen an ordinary line. $1 is the
# keymap, $2 the user's $_, handed back.
__cmdai_accept() {
  [[ ! ${BLE_ATTACHED-} ]] || return 0 # there the second key cannot be taken back
  builtin bind -m "$1" '"\e\C-_0": ""'
  if __cmdai_is_commented; then
    __cmdai_say 'remove the # to run it'
  elif __cmdai_is_task && builtin shopt -q promptvars && ! __cmdai_pasting; then
    __cmdai_press suggest
  else
    [[ ${PROMPT_COMMAND[*]-}${precmd_functions[*]-} == *__cmdai_mark* ]] || __cmdai_hook # a later rc line dropped it
    __cmdai_accepted
    builtin bind -m "$1" '"\e\C-_0": accept-line'
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
  for name in PS0 PROMPT_COMMAND precmd_functions BLE_ONLOAD; do
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
# shellcheck disable=SC2004,SC2128,SC2178 # an array or not
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
  for mark in __cmdai_mark$'\n' '__cmdai_mark;' $'\n__cmdai_mark' ';__cmdai_mark' __cmdai_mark \
    __cmdai_ble_attach __cmdai_ble \
    '${__cmdai_none[__cmdai_at=2]-}' '${__cmdai_none[__cmdai_at=0]-}'; do
    __cmdai_value=${__cmdai_value//"$mark"/}
  done
}

# Fills `does` with what the `keys` do: `f FUNCTION`, `m "MACRO"` or `x "COMMAND"` for KEYMAP KEY. Commands come last:
# 4.4 lists those that are bound no more.
__cmdai_look() {
  local line key kind=m at=0 lines
  local map=${__cmdai_maps[at]}
  [[ ${__cmdai_listed-} ]] || __cmdai_open_list "$1"
  builtin mapfile -t -u "$__cmdai_listed" lines
  exec {__cmdai_listed}<&-
  __cmdai_listed=''
  for line in "${lines[@]}"; do
    if [[ $line == \"* ]]; then
      key=${line#\"}
      key=${key%%\"[: ]*}
      [[ ${keys[$key]-} && ! ${does[$map $key]-} ]] || continue
      line=${line:${#key}+2}
      line=${line#:}
      if [[ $line == ' "'* ]]; then does[$map $key]=$kind$line; else does[$map $key]=f$line; fi
    elif [[ $line != '#'* ]]; then
      if [[ $line == 'accept-line '* ]]; then
        kind=x
      elif [[ $kind == x ]]; then
        kind=m map=${__cmdai_maps[++at]}
      fi
      for key in "${!keys[@]}"; do
        [[ $line != *"\"$key\""[,.]* ]] || does[$map $key]="f ${line%% *}"
      done
    fi
  done
}

# Takes key $2 of keymap $1 and keeps what it did, unless it is somebody else's and the person did not choose it ($3).
__cmdai_take() {
  local was=${does[$1 $2]-}
  # In vi-command, \eg does nothing by itself.
  if [[ ! $was && ! $full && ( $3 || $1$2 != 'vi-command\eg' ) ]]; then
    full=1
    __cmdai_look full
    was=${does[$1 $2]-}
  fi
  case $was in
    *__cmdai_* | *'\e\C-_'*) was='' ;; # of a version that kept no record
    '' | 'f abort' | 'f accept-line' | 'f glob-complete-word' | 'f self-insert') ;;
    *) [[ $3 ]] || { __cmdai_tell "$2" "${was#? }" && return 1; } ;;
  esac
  # 5.1 loses other commands when a new one is bound over one.
  [[ ${does[$1 $2]-} != x* ]] || builtin bind -m "$1" -r "$2"
  __cmdai_was[$1 $2]=$was
}

# Tells `cmdai doctor` that key $1 stays what it is: $2.
__cmdai_tell() {
  local name binding=${2#\"}
  case $1 in
    '\C-m' | RET) name=enter ;;
    '\e'?) name=alt-${1: -1} ;;
    *) name=ctrl-${1: -1} ;;
  esac
  # shellcheck disable=SC2034 # for the program
  [[ "; ${CMDAI_KEYS_TAKEN-}" == *"; $name: "* ]] ||
    builtin export CMDAI_KEYS_TAKEN="${CMDAI_KEYS_TAKEN:+$CMDAI_KEYS_TAKEN; }$name: ${binding%\"}"
}

# Gives key $2 of keymap $1 to __cmdai_press $3; $4 is set if the person chose it.
__cmdai_bind() {
  if [[ $2 ]] && __cmdai_take "$1" "$2" "$4"; then
    builtin bind -m "$1" -x "\"$2\": { __cmdai_press $3; } 2>/dev/null || :"
  fi
}

# Makes a macro of Enter in keymap $1, of keys that no terminal sends. Below \e, which is a prefix in every keymap, lest
# \C-x in vi-insert become one; short, for each key of a chord costs a keymap.
__cmdai_bind_enter() {
  local key chord
  __cmdai_chord "$1"
  for key in '\C-m' '\C-j'; do
    __cmdai_take "$1" "$key" '' || continue
    __cmdai_enter+=" $1 "
    builtin bind -m "$1" "\"$key\": \"$chord\\e\\C-_0\""
  done
  [[ $__cmdai_enter == *" $1 "* ]] || return 0
  builtin bind -m "$1" -x "\"$chord\": { __cmdai_accept $1 \"\$_\"; } 2>/dev/null || :"
  builtin bind -m "$1" '"\e\C-_0": accept-line'
}

# Sets `chord` to the first key of the macro: e, i or c.
__cmdai_chord() {
  chord=${1#vi-}
  chord="\\e\\C-_${chord:0:1}"
}

# Gives all keys back that are still ours.
__cmdai_unbind() {
  local slot map chord
  local -A keys does
  [[ ${__cmdai_was[*]+set} ]] || return 0
  for slot in "${!__cmdai_was[@]}"; do keys[${slot#* }]=1; done
  __cmdai_look quick
  for slot in "${!__cmdai_was[@]}"; do
    [[ ${does[$slot]-} != *__cmdai_* && ${does[$slot]-} != *'\e\C-_'* ]] ||
      __cmdai_restore "${slot%% *}" "${slot#* }" "${__cmdai_was[$slot]}"
  done
  for map in "${__cmdai_maps[@]}"; do
    [[ $__cmdai_enter == *" $map "* ]] || continue
    __cmdai_chord "$map"
    builtin bind -m "$map" -r "$chord"
    builtin bind -m "$map" -r '\e\C-_0'
  done
}

# Binds key $2 of keymap $1 to what __cmdai_look found. Only 5.3 reads its own list of commands.
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
    __cmdai_press suggest || :
    ble-edit/content/reset-and-check-dirty "$READLINE_LINE"
    ((_ble_edit_ind = READLINE_POINT < ${#_ble_edit_str} ? READLINE_POINT : ${#_ble_edit_str}))
    ble/widget/redraw-line
  }
  function ble/widget/cmdai-explain {
    local READLINE_LINE=$_ble_edit_str READLINE_POINT=$_ble_edit_ind
    __cmdai_press explain || :
    ble/widget/redraw-line
  }
  function ble/widget/cmdai-enter {
    local READLINE_LINE=$_ble_edit_str
    if __cmdai_is_commented; then
      __cmdai_say 'remove the # to run it'
      ble/widget/redraw-line
    elif __cmdai_is_task; then
      ble/widget/cmdai-suggest
    else
      __cmdai_accepted
      "ble/widget/$1" "${@:2}"
    fi
  }
  # Not before it has taken over what is bound in readline, ours too, and can say what others have bound.
  blehook ATTACH!=__cmdai_ble_attach
  [[ ! ${BLE_ATTACHED-} ]] || __cmdai_ble_attach
}

# Binds our keys in ble.sh's keymaps. What was typed while a command ran comes with C-j for Enter.
__cmdai_ble_attach() {
  local map key
  for map in emacs vi_imap vi_nmap; do
    __cmdai_ble_bind "$map" "$__cmdai_key" cmdai-suggest "${CMDAI_KEY+chosen}"
    [[ $map == vi_imap && ! ${CMDAI_EXPLAIN_KEY-} ]] ||
      __cmdai_ble_bind "$map" "$__cmdai_explain_key" cmdai-explain "${CMDAI_EXPLAIN_KEY+chosen}"
    [[ ${CMDAI_COMMENT-} != 0 ]] || continue
    for key in '\C-m' RET '\C-j'; do __cmdai_ble_bind "$map" "$key" cmdai-enter ''; done
  done
}

# As __cmdai_bind does; Enter's widget is told what it stands for.
# shellcheck disable=SC2154
__cmdai_ble_bind() {
  local ret key=$2 was
  local -n kmap=_ble_decode_${1}_kmap_
  case $key in
    '\C-'?) key=C-${key: -1} ;;
    '\e'?) key=M-${key: -1} ;;
    RET) ;;
    *) return 0 ;;
  esac
  ble-decode-kbd "$key"
  was=${kmap[$ret]-}
  was=${was#*:ble/widget/}
  case $was in
    cmdai-*) return 0 ;;
    # A keymap that is yet to be loaded, or what ble.sh took over from our bindings in readline.
    '' | *__cmdai_* | '.MACRO 27 31 '*) __cmdai_ble_default "$1" "$key" ;;
    bell | vi-command/show-line-info | accept-* | 'complete context=glob') ;;
    *) [[ $4 ]] || { __cmdai_tell "$2" "$was" && return 0; } ;;
  esac
  __cmdai_ble_was+=("$1" "$key" "${was:--}")
  [[ $3 != cmdai-enter ]] || set -- "$1" "$2" "$3 $was"
  ble-bind -m "$1" -f "$key" "$3"
}

# Sets `was` to what ble.sh has for key $2 of keymap $1.
__cmdai_ble_default() {
  case $1:$2 in
    vi_nmap:C-g) was=vi-command/show-line-info ;;
    *:C-g) was=bell ;;
    *:C-j) was=accept-line ;;
    vi_nmap:C-m | vi_nmap:RET) was='accept-single-line-or vi-command/forward-first-non-space' ;;
    *:C-m | *:RET) was=accept-single-line-or-newline ;;
    emacs:M-g | vi_imap:M-g) was='complete context=glob' ;;
    *) was='' ;;
  esac
}

__cmdai_ble_unbind() {
  local at
  for ((at = 0; at < ${#__cmdai_ble_was[@]}; at += 3)); do
    ble-bind -m "${__cmdai_ble_was[at]}" -f "${__cmdai_ble_was[at + 1]}" "${__cmdai_ble_was[at + 2]}"
  done
  # What ble.sh took over from readline.
  ble-bind -m emacs -f 'M-C-_ 0' - -f 'M-C-_ e' -
  ble-bind -m vi_imap -f 'M-C-_ 0' - -f 'M-C-_ i' -
  ble-bind -m vi_nmap -f 'M-C-_ 0' - -f 'M-C-_ c' -
  builtin unset -f ble/widget/cmdai-{suggest,explain,enter}
}

# Sets `key` to readline's spelling of $1.
__cmdai_spell() {
  key=$1
  case $1 in
    ctrl-? | ^?) key=${1: -1} key=\\C-${key,} ;;
    alt-?) key=\\e${1: -1} ;;
  esac
}

__cmdai_load() {
  local key
  [[ ! ${__cmdai_was[*]+set} ]] || __cmdai_unbind
  builtin unset -v CMDAI_KEYS_TAKEN # of a shell around this one
  builtin declare -gA __cmdai_was
  __cmdai_was=() __cmdai_enter=''
  __cmdai_spell "${CMDAI_EXPLAIN_KEY-alt-g}"
  __cmdai_explain_key=$key
  __cmdai_spell "${CMDAI_KEY-ctrl-g}"
  __cmdai_key=$key
  [[ $__cmdai_explain_key != "$key" ]] || __cmdai_explain_key=''
  if [[ ${BLE_VERSION-} ]]; then
    [[ ${CMDAI_COMMENT-} == 0 ]] || __cmdai_enter=ble
    __cmdai_ble
  else
    __cmdai_bind_all
  fi
  __cmdai_hook
  [[ " ${BLE_ONLOAD[*]-} " == *' __cmdai_ble '* ]] || BLE_ONLOAD+=(__cmdai_ble)
}

# The `2>/dev/null` of the bindings keeps `set -x` quiet; the `|| :` keeps `set -e` from ending the shell.
__cmdai_bind_all() {
  local map key full=''
  local -A keys does
  for key in "$__cmdai_key" "$__cmdai_explain_key" '\C-m' '\C-j'; do [[ ! $key ]] || keys[$key]=1; done
  __cmdai_look quick
  for map in "${__cmdai_maps[@]}"; do
    __cmdai_bind "$map" "$__cmdai_key" suggest "${CMDAI_KEY+chosen}"
    # There Esc and then g would be \eg.
    [[ $map == vi-insert && ! ${CMDAI_EXPLAIN_KEY-} ]] ||
      __cmdai_bind "$map" "$__cmdai_explain_key" explain "${CMDAI_EXPLAIN_KEY+chosen}"
    [[ ${CMDAI_COMMENT-} == 0 ]] || __cmdai_bind_enter "$map"
  done
}

# Removes all of it.
cmdai_unload() {
  local -
  set +aefux
  local IFS=$' \t\n'
  __cmdai_unbind
  [[ ! ${__cmdai_ble_was[*]-} ]] || __cmdai_ble_unbind
  __cmdai_unhook
  # shellcheck disable=SC2046 # names
  builtin unset -f $(builtin compgen -A function __cmdai_) cmdai_unload
  builtin unset -v CMDAI_KEYS_TAKEN "${!__cmdai_@}"
}

__cmdai_load || \builtin :

\builtin test -z "${__cmdai_allexport-}" || \builtin set -a
\builtin test -z "${__cmdai_aliases-}" || \builtin shopt -s expand_aliases
\builtin unset -v __cmdai_aliases __cmdai_allexport
