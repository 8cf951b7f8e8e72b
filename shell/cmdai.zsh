# cmdai for zsh 5.3 or newer: Ctrl-G, or Enter on `# describe the task`, puts a command on the line. You press Enter.
#
# Set before loading:
#   CMDAI_KEY      key to use instead of ^G: `^T`, `ctrl-t` or `alt-g`; empty binds none
#   CMDAI_COMMENT  0 leaves Enter alone
#   CMDAI_HISTORY  1 keeps the request in history, just before the command that you accept
#   CMDAI_WARM_UP  0 keeps the words of a `# task` line from cmdai's server until you press Enter
#
# `cmdai init zsh` wraps this file in `emulate zsh -o … -c`: it is parsed without your aliases, its functions run under
# those options ("sticky emulation"), and yours are never touched. Text from the core is only ever assigned to BUFFER.

typeset -g __cmdai_bin='@CMDAI_BIN@' __cmdai_socket='@CMDAI_SOCKET@' __cmdai_hello='@CMDAI_HELLO@'
typeset -g __cmdai_server= __cmdai_sent=

# Enter comes first and stands alone: whatever fails below, or later, a `# task` line is not executed. Without
# interactivecomments zsh would run `# tidy up; rm x` as two commands.
function __cmdai_is_task() { [[ $CONTEXT == start && $1 == '# '*[^[:space:]]* && $1 != *$'\n'* ]] }

function cmdai-enter() {
  if __cmdai_is_task "$BUFFER"; then
    zle cmdai-suggest || zle -M 'cmdai: the shell integration is incomplete; the line was not run'
  else
    (( $#__cmdai_enter_was )) || __cmdai_look_up
    # A widget that took Enter after us may hand it on to us: then the one from before us is meant.
    local was=${__cmdai_enter_was[${__cmdai_nested-late}_$KEYMAP]:-${__cmdai_enter_was[early_$KEYMAP]:-accept-line}}
    local __cmdai_nested=early
    zle $was
  fi
}

# Ctrl-O, accept-and-hold or an Enter that another plugin took over: the task line becomes a no-op that shows it.
function __cmdai_line_finish() {
  if [[ ! -o interactivecomments ]] && __cmdai_is_task "$BUFFER"; then BUFFER=": ${(qq)BUFFER}"; fi
}

# True for text that a terminal would not show as it is: C0, C1, bidi, zero-width, tags. Bytes, because `\u202e` is an
# error in other locales.
function __cmdai_deceptive() {
  setopt local_options no_multibyte
  [[ $1 == *([$'\0'-$'\x08'$'\x0b'-$'\x1f'$'\x7f']|$'\xc2'[$'\x80'-$'\x9f']|$'\xd8\x9c'|$'\xe2\x80'[$'\x8b'-$'\x8f'$'\xa8'-$'\xae']|$'\xe2\x81'[$'\xa0'-$'\xaf']|$'\xef\xbb\xbf'|$'\xf3\xa0'[$'\x80\x81'])* ]]
}

# Reads the keys that wait into `keys`. A read that finds none takes 20 ms, hence the look before it.
function __cmdai_keys() {
  local key
  keys=
  while (( PENDING + KEYS_QUEUED_COUNT )) && read -t 0 -k 1 key 2>/dev/null; do keys+=$key; done
}

# Takes the previews, whole lines that begin with ~, off the front of `answer` and shows the last one.
function __cmdai_preview() {
  local text
  while [[ $answer == '~'*$'\n'* ]]; do
    text=${answer%%$'\n'*}
    answer=${answer:$#text + 1} # `#*` takes the square of the length
  done
  [[ -z $text ]] || __cmdai_status "${text#\~}"
}

# Shows one row below the line, for the time of the wait only. What is not ASCII counts as two columns: zle and the
# terminal disagree about combining characters, and then zle would take the wrong rows back.
function __cmdai_status() {
  local text="cmdai: ${1[1,COLUMNS]}"
  __cmdai_deceptive "$text" && text=${text//[^ -~]/?}
  while [[ -n $text ]] && (( $#text + ${#text//[[:ascii:]]} >= COLUMNS )); do text[-1]=; done
  zle -R -- "$text"
  waited=5
}

# Sets reply=(status note text) for the request $1: the command, or one line that says why there is none.
function __cmdai_ask() {
  setopt local_options local_traps no_monitor no_notify
  local fd pid chunk keys answer rest
  local -i state waited=0 stop=0
  reply=(1 '' "$__cmdai_bin: not found")
  [[ -x $__cmdai_bin ]] && zmodload zsh/system || return
  trap 'stop=1' INT
  exec {fd}< <(print -r -- $sysparams[pid]; print -rn -- "$1" | exec $__cmdai_bin widget --shell zsh --stream 2>/dev/null)
  read -r -u $fd pid
  while (( ! stop && $#answer < 65536 )); do
    sysread -i $fd -t 0.03 chunk; state=$?
    case $state in
      0) answer+=$chunk; __cmdai_preview ;;
      4) (( ++waited == 5 )) && __cmdai_status 'thinking (Esc cancels)' ;;
      *) break ;;
    esac
    __cmdai_keys
    [[ $keys == (*$'\e'|*$'\a'*|*$'\x03'*) ]] && stop=1 # a key such as Up only starts with Esc
  done
  exec {fd}<&-
  (( stop || state == 0 )) && [[ $pid == <2-> ]] && kill -TERM $pid 2>/dev/null
  zle -R -c
  rest=${answer#*$'\n'}
  if (( stop )); then
    reply=(130 '' '')
  elif [[ $answer == 0$'\n'*$'\n'* ]]; then
    reply=(0 "${rest%%$'\n'*}" "${${rest#*$'\n'}%$'\n'}")
  elif [[ $answer == [1-9]($'\n'*|[0-9]$'\n'*|[0-9][0-9]$'\n'*) && $answer != 0* ]]; then
    reply=(${answer%%$'\n'*} '' "${rest%%$'\n'*}")
  else
    reply=(1 '' "no answer from $__cmdai_bin; try: cmdai doctor")
  fi
}

# Shows one line under the prompt; zle -M expands nothing, (V) makes control characters visible. Where the line fills
# the screen zle leaves no room for it, so there it goes above.
function __cmdai_say() {
  local text="cmdai: ${(V)1[1,500]}"
  if [[ -z $1 ]]; then
    return 0
  elif (( BUFFERLINES < LINES )); then
    zle -M -- $text
  else
    zle -I
    print -r -- $text >/dev/tty
  fi
}

function cmdai-suggest() {
  local -a reply
  if [[ $CONTEXT != start ]]; then zle send-break; return 0; fi
  # The menu's keymap exists only once a menu was shown, so Ctrl-G becomes "abort" in it here, the first time.
  if [[ -z $__cmdai_menu ]] && bindkey -M menuselect '^G' send-break 2>/dev/null; then
    __cmdai_menu=1
    [[ $LASTWIDGET == *(complet|menu)* ]] && return 0
  fi
  if [[ $BUFFER != *[^[:space:]]* ]]; then __cmdai_say 'say in words what the command should do, then press the key'; return 0; fi
  (( ${+widgets[autosuggest-clear]} )) && zle autosuggest-clear
  __cmdai_ask "$BUFFER"
  local keys
  if [[ $reply[1] == 0 && -z $reply[3] ]]; then
    __cmdai_say 'the answer was empty'
  elif [[ $reply[1] == 0 ]] && __cmdai_deceptive "$reply[3]"; then
    __cmdai_say 'the answer was refused: it holds characters that cannot be seen'
  elif [[ $reply[1] == 0 ]]; then
    typeset -g __cmdai_request=$BUFFER
    zle split-undo # in vi mode the typing would be undone with it
    BUFFER=$reply[3]
    CURSOR=$#BUFFER
    __cmdai_say "$reply[2]"
  elif [[ $reply[1] != 130 ]]; then
    __cmdai_say "${reply[3]:-no reason was given}"
  fi
  zle -R
  __cmdai_keys # an Enter typed before the answer was on the screen must not run it
  return 0
}

# At every redraw: on a line that begins with #, cmdai's server starts and hears the words, to be ready at Enter. Other
# lines cost one test. Nothing here waits, prints or starts a process, but for a server that is not there.
function __cmdai_warm_up() {
  if [[ $BUFFER != '#'* || $CONTEXT != start ]]; then
    [[ -z $__cmdai_server ]] || __cmdai_let_go
  elif (( __cmdai_server )) || __cmdai_connect; then
    __cmdai_send_words
  fi
  return 0
}

# __cmdai_server is the connection of this line: empty before the first #, 0 where there is none, else its descriptor.
function __cmdai_connect() {
  local REPLY
  if zmodload zsh/{net/socket,system,zselect} 2>/dev/null && zsocket $__cmdai_socket 2>/dev/null; then
    exec {__cmdai_server}>&$REPLY {REPLY}>&- # zsocket takes one of 3 to 9, which are the person's
    __cmdai_sent=
    syswrite -o $__cmdai_server -- $__cmdai_hello
    return
  fi
  if [[ -z $__cmdai_server ]]; then
    setopt local_options no_monitor
    # Nobody's child: where SIGCHLD meets a write of zle's, the character is lost on the screen.
    ( $__cmdai_bin server start </dev/null &>/dev/null & )
  fi
  __cmdai_server=0
  return 1
}

# The words so far, where they are new. A write into a full socket would wait, so it is left out: select calls a socket
# of Linux or macOS ready only where 2 KB more fit.
function __cmdai_send_words() {
  setopt local_options no_multibyte # lengths are bytes
  local -a reply
  local frame words=${${BUFFER#\#}# }
  if [[ $BUFFER == '# '*[^[:space:]]* && $words != "$__cmdai_sent" && $words != *[[:cntrl:]]* ]] &&
    (( $#words < 1000 )) && zselect -t 0 -w $__cmdai_server; then
    frame="{\"warm\":{\"words\":\"${${words//\\/\\\\}//\"/\\\"}\",\"shell\":\"zsh\"}}"
    __cmdai_sent=$words
    syswrite -o $__cmdai_server -- "$#frame"$'\n'"$frame" || { __cmdai_let_go; __cmdai_server=0 }
  fi
}

function __cmdai_let_go() {
  (( ! __cmdai_server )) || exec {__cmdai_server}>&-
  __cmdai_server=
}

function __cmdai_history() {
  [[ -n ${__cmdai_request-} ]] && print -rs -- "# ${__cmdai_request#\# }"
  __cmdai_request=
  return 0
}

# Keeps the keymaps as they are $1: early or late. Asking for a binding costs a fork, so the first Enter does that.
function __cmdai_keep_keymaps() {
  local map
  for map in main emacs viins vicmd; do bindkey -N __cmdai_$1_$map $map; done
}

function __cmdai_bind_enter() {
  local map
  for map in emacs viins vicmd; do bindkey -M $map '^M' cmdai-enter '^J' cmdai-enter; done
}

function __cmdai_watch() {
  precmd_functions+=(__cmdai_let_go) # for a line that ends as it is; at Ctrl-C there is no line-finish
  case ${widgets[zle-line-pre-redraw]-} in
    '') zle -N zle-line-pre-redraw __cmdai_warm_up ;; # costs half of what it costs through add-zle-hook-widget
    *_zsh_highlight_*) ;; # once wrapped by zsh-syntax-highlighting before 0.8, it would call itself
    *) add-zle-hook-widget line-pre-redraw __cmdai_warm_up ;;
  esac
}

# Once, at the first prompt: what took Enter after us would otherwise get the task lines.
function __cmdai_line_init() {
  add-zle-hook-widget -d line-init __cmdai_line_init
  [[ -z $__cmdai_socket || ${CMDAI_WARM_UP-} == 0 || ${CMDAI_SERVER-} == 0 ]] || __cmdai_watch
  __cmdai_keep_keymaps late
  __cmdai_bind_enter
}

# What Enter did before us, by keymap.
function __cmdai_look_up() {
  local map line
  for line in ${(f)"$(for map in {early,late}_{main,emacs,viins,vicmd}; do
    bindkey -M __cmdai_$map '^M' 2>/dev/null && print -r -- $map
  done)"}; do
    if [[ $line == '"^M" '* ]]; then map=${line##* }; else __cmdai_enter_was[$line]=${map:#(cmdai-enter|undefined-key)}; fi
  done
  for map in ${(k)__cmdai_enter_was}; do bindkey -D __cmdai_$map; done
}

() {
  local map key=${CMDAI_KEY-^G}
  zle -N cmdai-suggest
  if [[ ${CMDAI_COMMENT-} != 0 && -z ${__cmdai_enter_was+set} ]]; then
    typeset -gA __cmdai_enter_was
    __cmdai_keep_keymaps early
    autoload -Uz add-zle-hook-widget
    add-zle-hook-widget line-init __cmdai_line_init
    add-zle-hook-widget line-finish __cmdai_line_finish
  fi
  if [[ ${CMDAI_COMMENT-} != 0 ]]; then
    zle -N cmdai-enter
    __cmdai_bind_enter
  fi
  case ${(L)key} in
    ctrl-?) key="^$key[-1]" ;;
    alt-?) key="^[$key[-1]" ;;
  esac
  for map in emacs viins vicmd; do [[ -z $key ]] || bindkey -M $map $key cmdai-suggest; done
  [[ ${(L)key} == '^g' ]] && bindkey -M isearch '^G' send-break # incremental search keeps its way out
  [[ ${CMDAI_HISTORY-} == 1 ]] && zshaddhistory_functions=(${zshaddhistory_functions:#__cmdai_history} __cmdai_history)
  return 0
}
