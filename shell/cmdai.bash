# shellcheck shell=bash
# cmdai for bash 4.4 or newer: Ctrl-G, or Enter on `# describe the task`, puts a command on the line. You press Enter.
#
# Set before loading:
#   CMDAI_KEY      key to use instead of \C-g: `\C-t`, `^T`, `ctrl-t` or `alt-g`; empty binds none
#   CMDAI_COMMENT  0 leaves Enter alone
#   CMDAI_HISTORY  1 keeps the request in history
#
# cmdai's server hears nothing before Enter, as it does from zsh and fish: readline tells nobody what is typed, and with
# `bind -x` on # it would wipe the line and draw it again at every #, in `read -e` too.
#
# `cmdai init bash` wraps this file in a check of the version, so older ones need not parse it. Text from the core is
# only ever assigned to READLINE_LINE. A function here must work under any `set` and `shopt` option.

\builtin shopt -q expand_aliases && __cmdai_aliases=1
\builtin shopt -u expand_aliases # an alias on `local` would break the functions below

__cmdai_bin='@CMDAI_BIN@'

# Prints one line above the prompt, which readline then draws again.
__cmdai_say() {
  local text=${1%%$'\n'*}
  [[ $text ]] || return 0
  if __cmdai_deceptive "$text"; then text=${text//[^ -~]/?}; fi
  builtin printf 'cmdai: %s\n' "${text:0:500}" >/dev/tty
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

# Fills `answer` from the core for the request $1; stop=1 if the person cancelled.
__cmdai_ask() {
  local fd pid chunk state waited=0 interrupt
  interrupt=$(builtin trap -p INT)
  builtin trap 'stop=1' INT
  exec {fd}< <(exec "$__cmdai_bin" widget --shell bash --stream < <(builtin printf %s "$1") 2>/dev/null)
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

__cmdai_suggest() {
  local - tty keys answer='' stop='' IFS=$' \t\n'
  set +efux
  builtin export -n READLINE_LINE READLINE_POINT # or the request would stand in the core's environment
  if [[ $READLINE_LINE != *[![:space:]]* ]]; then
    __cmdai_say 'say in words what the command should do, then press the key'
    return 0
  fi
  if [[ ! -x $__cmdai_bin ]]; then
    __cmdai_say "$__cmdai_bin: not found"
    return 0
  fi
  builtin exec {tty}<>/dev/tty
  __cmdai_ask "$READLINE_LINE"
  [[ $stop ]] || __cmdai_answer "${answer%%$'\n'*}" "${answer#*$'\n'}"
  __cmdai_keys # an Enter typed meanwhile must not run what nobody has read; readline now draws it
  builtin exec {tty}<&-
}

# Acts on the status $1 and the rest $2 of an answer.
__cmdai_answer() {
  local command=${2#*$'\n'}
  command=${command%$'\n'}
  if [[ $1 == 130 ]]; then
    return 0
  elif [[ $1 == 0 && $2 == *$'\n'* ]]; then
    if [[ ! $command ]]; then
      __cmdai_say 'the answer was empty'
    elif __cmdai_deceptive "$command"; then
      __cmdai_say 'the answer was refused: it holds characters that cannot be seen'
    else
      [[ ${CMDAI_HISTORY-} != 1 ]] || builtin history -s -- "# ${READLINE_LINE#\# }"
      __cmdai_say "${2%%$'\n'*}"
      READLINE_LINE=$command
      READLINE_POINT=0x7fffffff # bytes in 4.4, characters later: readline clamps it
    fi
  elif [[ $1 =~ ^[1-9][0-9]?[0-9]?$ ]]; then
    __cmdai_say "${2:-no reason was given}"
  else
    __cmdai_say "no answer from $__cmdai_bin; try: cmdai doctor"
  fi
}

# Enter is a macro of two keys: this function, then one that does nothing until we have seen an ordinary line. $1 is the
# keymap, $2 the user's $_, handed back.
__cmdai_enter() {
  builtin bind -m "$1" '"\C-x\C-_C0\a": ""'
  if [[ $READLINE_LINE == '# '*[![:space:]]* && $READLINE_LINE != *$'\n'* && $__cmdai_at == 1 ]] &&
    builtin shopt -q promptvars && ! __cmdai_pasting; then
    __cmdai_suggest
  else
    [[ ${PROMPT_COMMAND[*]-}${precmd_functions[*]-} == *__cmdai_mark* ]] || __cmdai_hook # a later rc line dropped it
    builtin bind -m "$1" '"\C-x\C-_C0\a": accept-line'
  fi
  : "$2"
}

# bash < 5.1 pastes without brackets: then more input waits, and the comment is part of a script.
__cmdai_pasting() { ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 501)) && builtin read -r -t 0 </dev/tty; }

# No variable tells where we are, so the prompts do, without a fork: 1 the primary prompt, 2 PS2 (here-document, open
# quote), 0 a command runs (`read -e`).
__cmdai_at=1
__cmdai_mark() {
  local status=$?
  __cmdai_at=1
  return "$status"
}

# Before the other hooks, never last: bash-preexec must find its own last one in its place.
__cmdai_hook() {
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

# The `2>/dev/null` keeps `set -x` quiet; the `|| :` keeps `set -e` from ending the shell.
__cmdai_load() {
  local map key=${CMDAI_KEY-\\C-g}
  case $key in
    ctrl-? | ^?) key="\\C-${key: -1}" ;;
    alt-?) key="\\e${key: -1}" ;;
  esac
  for map in emacs-standard vi-insert vi-command; do
    [[ ! $key ]] || builtin bind -m "$map" -x "\"$key\": { __cmdai_suggest; } 2>/dev/null || :"
    [[ ${CMDAI_COMMENT-} != 0 ]] || continue
    builtin bind -m "$map" -x "\"\\C-x\\C-_C${map//[^a-z]/}\\a\": { __cmdai_enter $map \"\$_\"; } 2>/dev/null || :"
    builtin bind -m "$map" '"\C-x\C-_C0\a": accept-line'
    builtin bind -m "$map" "\"\\C-m\": \"\\C-x\\C-_C${map//[^a-z]/}\\a\\C-x\\C-_C0\\a\""
    builtin bind -m "$map" "\"\\C-j\": \"\\C-x\\C-_C${map//[^a-z]/}\\a\\C-x\\C-_C0\\a\""
  done
  [[ ${CMDAI_COMMENT-} == 0 ]] || __cmdai_hook
  [[ ! ${BLE_VERSION-} ]] || __cmdai_ble
  [[ " ${BLE_ONLOAD[*]-} " == *' __cmdai_ble '* ]] || BLE_ONLOAD+=(__cmdai_ble)
}
__cmdai_load

builtin test -z "${__cmdai_aliases-}" || builtin shopt -s expand_aliases
builtin unset -v __cmdai_aliases
