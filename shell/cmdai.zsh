# cmdai for zsh 5.8 or newer: Ctrl-G, or Enter on `# describe the task`, puts a command on the line. You press Enter.
# Ctrl-G again: the next suggestion. Alt-G: what the command on the line does.
#
# Set before loading:
#   CMDAI_KEY          key to use instead of ^G: `^T`, `ctrl-t` or `alt-t`; empty binds none
#   CMDAI_EXPLAIN_KEY  key to use instead of ^[g
#   CMDAI_COMMENT      0 leaves Enter alone
#   CMDAI_HISTORY      0 keeps the words out of history; else they stand there as `# words` before the command
#   CMDAI_WARM_UP      0 keeps the words of a `# task` line from cmdai's server until you press Enter
#
# A key that is not set here and that somebody else has bound is left alone; CMDAI_KEYS_TAKEN says so to `cmdai doctor`.
# cmdai_unload takes everything back.
#
# `cmdai init zsh` wraps this file in `emulate zsh -o … -c`: it is parsed without your aliases, its functions run with
# those options ("sticky emulation"), and yours are never touched. Text from the core is only ever assigned to BUFFER.

(( ! $+functions[cmdai_unload] )) || cmdai_unload

typeset -g __cmdai_bin='@CMDAI_BIN@' __cmdai_socket='@CMDAI_SOCKET@' __cmdai_hello='@CMDAI_HELLO@'
typeset -g __cmdai_server= __cmdai_sent= __cmdai_request= __cmdai_settled=
# What is on the line: its stamp, the note, and for a suggestion its number, the words and the undo step before it.
typeset -gA __cmdai_offer
# What was there before us, by `KEYMAP/KEY` at loading and at the first prompt, and by hook.
typeset -gA __cmdai_was __cmdai_late __cmdai_before

# Enter comes first and stands alone: whatever fails below, or later, a `# task` line is not executed. Without
# interactivecomments zsh would run `# tidy up; rm x` as two commands.
function __cmdai_is_task() { [[ $CONTEXT == start && $1 == '# '*[^[:space:]]* && $1 != *$'\n'* ]] }

# True where nothing was edited since the stamp; an edit that was taken back by hand is one too.
function __cmdai_untouched() { [[ $__cmdai_offer[stamp] == "$UNDO_CHANGE_NO:$BUFFER" ]] }

function __cmdai_is_commented() { [[ $BUFFER == '# '* && -n $__cmdai_offer[number] ]] && __cmdai_untouched }

function cmdai-enter() {
  if __cmdai_is_commented; then
    __cmdai_say 'remove the # to run it'
  elif __cmdai_is_task "$BUFFER"; then
    zle cmdai-suggest || zle -M 'cmdai: the shell integration is incomplete; the line was not run'
  else
    (( $#__cmdai_late )) || __cmdai_look_up
    # A widget that takes Enter after us may hand it on to us: then the one from before us is meant.
    local was=${${__cmdai_nested-$__cmdai_late[$KEYMAP/^M]}:-$__cmdai_was[$KEYMAP/^M]} __cmdai_nested=
    (( $+widgets[$was] )) || was=accept-line
    zle $was
  fi
}

# Ctrl-O, accept-and-hold or an Enter that another plugin took over: the task line becomes a no-op that shows it.
function __cmdai_line_finish() {
  __cmdai_go_on line-finish "$@"
  [[ ${CMDAI_HISTORY-} == 0 || $CONTEXT != (start|cont) ]] || __cmdai_history
  if __cmdai_is_commented ||
    { [[ ${CMDAI_COMMENT-} != 0 && ! -o interactivecomments ]] && __cmdai_is_task "$BUFFER" }; then
    BUFFER=": ${(qq)BUFFER}"
  fi
  __cmdai_offer=()
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

# Sets reply=(status note text cursor) for the request $1: the command, or one line that says why there is none. More
# arguments go to the core.
function __cmdai_ask() {
  setopt local_options local_traps no_monitor no_notify
  local fd pid chunk keys answer rest text=$1
  local -i state waited=0 stop=0
  shift
  reply=(1 '' "$__cmdai_bin: not found")
  [[ -x $__cmdai_bin ]] && zmodload zsh/system || return
  trap 'stop=1' INT
  exec {fd}< <(
    print -r -- $sysparams[pid]
    print -rn -- "$text" | exec $__cmdai_bin widget --shell zsh --stream $@ 2>/dev/null
  )
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
  elif [[ $answer == 0( <->|)$'\n'*$'\n'* ]]; then
    reply=(0 "${rest%%$'\n'*}" "${${rest#*$'\n'}%$'\n'}" "${${answer%%$'\n'*}#0}")
  elif [[ $answer == [1-9]($'\n'*|[0-9]$'\n'*|[0-9][0-9]$'\n'*) ]]; then
    reply=(${answer%%$'\n'*} '' "${rest%%$'\n'*}")
  else
    reply=(1 '' "no answer from $__cmdai_bin; try: cmdai doctor")
  fi
  if [[ $reply[1] == 0 && -z $reply[3] ]]; then
    reply=(1 '' 'the answer was empty')
  elif [[ $reply[1] == 0 ]] && __cmdai_deceptive "$reply[3]"; then
    reply=(1 '' 'the answer was refused: it holds characters that cannot be seen')
  fi
}

# Shows $1 below the line until the next edit, and its risk word, if it begins with one, in colour. (V) makes control
# characters visible. Where the line leaves no room for it zle would lose the line, so there it goes above.
function __cmdai_say() {
  local line text="cmdai: ${(pj:\n:)${(@V)${(@f)1[1,3000]}}}"
  local -i rows=0
  [[ -n $1 ]] || return 0
  __cmdai_deceptive "$text" && text=${text//[^ -~$'\n']/?}
  for line in "${(@f)text}"; do (( rows += ($#line + ${#line//[[:ascii:]]} - 1) / COLUMNS + 1 )); done
  zle -R
  if (( BUFFERLINES + rows > LINES )); then
    zle -I
    print -r -- $text >/dev/tty
  elif [[ $TERM == dumb || -n ${NO_COLOR-} ]] || ! __cmdai_say_in_colour "${text#cmdai: }"; then
    zle -M -- $text
  fi
  __cmdai_offer[stamp]=$UNDO_CHANGE_NO:$BUFFER
}

# zle -M knows no colours, and what stands in POSTDISPLAY becomes part of the line at a press of Right where
# zsh-autosuggestions is loaded. The heading over a list of no completions has colours, and zle takes it off the screen
# at Enter and Ctrl-C. Without zsh/compctl, which zsh loads for the first Tab unless zsh/complete is there already, Tab
# would complete nothing from then on where compinit was never called.
function __cmdai_say_in_colour() {
  local word=${1%%[^a-z]*} heading shown=
  local -A colour=(safe '%F{green}' caution '%F{yellow}' dangerous '%B%F{red}')
  [[ -n $word && -n $colour[$word] ]] && zmodload zsh/compctl || return
  heading="cmdai: $colour[$word]$word%f%b${${1#$word}//\%/%%}"
  zle -C __cmdai_heading list-choices __cmdai_heading && zle __cmdai_heading
  zle .auto-suffix-remove # ends the completion, or Tab would show this list again
  zle -D __cmdai_heading
  [[ -n $shown ]]
}

function __cmdai_heading() {
  builtin compadd -x "$heading"
  compstate[insert]= compstate[list]='list force' compstate[last_prompt]=yes shown=1
}

# What the core said that is no command: its reason, or after a cancel what stood there before.
function __cmdai_say_why() {
  if [[ $reply[1] == 130 ]]; then
    __cmdai_say "$__cmdai_offer[note]"
  else
    __cmdai_say "${reply[3]:-no reason was given}"
  fi
}

# What was typed before the answer was on the screen is dropped: an Enter must not run it.
function __cmdai_drop_keys() {
  local keys
  zle -R
  __cmdai_keys
}

function cmdai-suggest() {
  local -a reply
  if [[ $CONTEXT != start ]]; then zle send-break; return 0; fi
  __cmdai_in_menu && return 0
  __cmdai_is_blank 'say in words what the command should do, then press the key' && return 0
  __cmdai_untouched || __cmdai_offer=()
  (( $+widgets[autosuggest-clear] )) && zle autosuggest-clear
  if [[ -n $__cmdai_offer[number] ]]; then __cmdai_next; else __cmdai_first; fi
  __cmdai_drop_keys
  return 0
}

# Where there is nothing to ask about, says $1.
function __cmdai_is_blank() {
  [[ $BUFFER != *[^[:space:]]* ]] && __cmdai_say "$1"
}

# The menu's keymap exists only once a menu was shown, so Ctrl-G becomes "abort" in it here, the first time.
function __cmdai_in_menu() {
  local -a reply
  [[ -z $__cmdai_was[menuselect/^G] ]] && (( $keymaps[(I)menuselect] )) || return
  __cmdai_note_bindings menuselect ^G
  [[ $__cmdai_was[menuselect/^G] != undefined-key ]] || bindkey -M menuselect '^G' send-break
  [[ $LASTWIDGET == *(complet|menu)* ]]
}

function __cmdai_first() {
  __cmdai_ask "$BUFFER"
  if [[ $reply[1] == 0 ]]; then
    __cmdai_offer=(words "$BUFFER" undo $UNDO_CHANGE_NO number 0)
    __cmdai_put
  else
    __cmdai_say_why
  fi
}

# Another suggestion takes the place of the one before it among the undo steps: undo leads to the words.
function __cmdai_next() {
  if (( __cmdai_offer[number] >= 5 )); then
    __cmdai_give_back 'no more suggestions; these are your words'
    return
  fi
  __cmdai_ask "$__cmdai_offer[words]" --candidate $(( __cmdai_offer[number] + 1 ))
  case $reply[1] in
    0) __cmdai_take_back; __cmdai_put ;;
    5) __cmdai_give_back "${reply[3]:-no more suggestions}" ;;
    *) __cmdai_say_why ;;
  esac
}

function __cmdai_take_back() {
  zle .undo $__cmdai_offer[undo]
  [[ $BUFFER == "$__cmdai_offer[words]" ]] || BUFFER=$__cmdai_offer[words]
}

function __cmdai_put() {
  zle .split-undo # in vi mode the typing would be undone with it
  BUFFER=$reply[3]
  CURSOR=${reply[4]:-$#BUFFER}
  __cmdai_request=$__cmdai_offer[words]
  __cmdai_offer[number]=$(( __cmdai_offer[number] + 1 ))
  __cmdai_offer[note]=$reply[2]
  __cmdai_offer[stamp]=$UNDO_CHANGE_NO:$BUFFER
  __cmdai_say "$reply[2]"
}

function __cmdai_give_back() {
  __cmdai_take_back
  __cmdai_offer=()
  __cmdai_request=
  __cmdai_say "$1"
}

function cmdai-explain() {
  local -a reply
  [[ $CONTEXT == start ]] || return 0
  __cmdai_is_blank 'type a command, then press the key to see what it does' && return 0
  __cmdai_untouched || __cmdai_offer=()
  __cmdai_ask "$BUFFER" --explain
  if [[ $reply[1] == 0 ]]; then
    __cmdai_say "$reply[2]"$'\n'"$reply[3]"
  else
    __cmdai_say_why
  fi
  __cmdai_drop_keys
  return 0
}

# At every redraw, so it must cost nothing where there is nothing to do.
function __cmdai_line_pre_redraw() {
  [[ -z $__cmdai_before[line-pre-redraw] ]] || __cmdai_go_on line-pre-redraw "$@"
  if (( $#__cmdai_offer )) && ! __cmdai_untouched; then
    __cmdai_offer=()
    zle -R -c
  fi
  [[ -z $__cmdai_socket ]] || __cmdai_warm_up
  return 0
}

# On a line that begins with #, cmdai's server starts and hears the words, to be ready at Enter. Other lines cost one
# test. Nothing here waits, prints or starts a process, but for a server that is not there.
function __cmdai_warm_up() {
  if [[ $BUFFER != '#'* || $CONTEXT != start ]]; then
    [[ -z $__cmdai_server ]] || __cmdai_let_go
  elif (( __cmdai_server )) || __cmdai_connect; then
    __cmdai_send_words
  fi
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

# The words go into history once, before the command that they became, unless they or it begin with a space and such
# lines are kept out. Added by zshaddhistory they would hide the command from preexec, and so from atuin.
function __cmdai_history() {
  setopt local_options extended_glob
  local words=$__cmdai_request
  __cmdai_request=
  if [[ -z $words || $BUFFER != *[^[:space:]]* || $BUFFER == "$words" ]]; then return 0; fi
  if [[ -o hist_ignore_space && ( $words == ' '* || $BUFFER == ' '* ) ]]; then return 0; fi
  print -rs -- "# ${${words##[[:space:]#]#}//$'\n'/ }"
}

# The hook $1 calls the function named after it, and that calls what was there. add-zle-hook-widget is used only where
# it has the hook already: zsh-syntax-highlighting before 0.8 and it cannot wrap each other, and it is slower.
function __cmdai_hook() {
  local hook=$1 widget=zle-$1 ours=__cmdai_${1//-/_}
  case ${widgets[$widget]-} in
    user:$ours) ;;
    user:azhw:*) add-zle-hook-widget $hook $ours ;;
    *)
      __cmdai_before[$hook]=
      if (( $+widgets[$widget] )); then
        __cmdai_before[$hook]=__cmdai_before_$hook
        zle -A $widget __cmdai_before_$hook
      fi
      zle -N $widget $ours
      ;;
  esac
}

# zsh 5.8 has no -f nolast, which keeps LASTWIDGET.
function __cmdai_go_on() {
  local before=$__cmdai_before[$1]
  local -a nolast=(-f nolast)
  [[ $ZSH_VERSION != 5.8* ]] || nolast=()
  shift
  [[ -z $before ]] || zle $before $nolast -N -- "$@"
}

# Others may hold our hook under names of their own; there what was before us takes its place, or what does nothing.
function __cmdai_unhook() {
  local hook=$1 name ours=__cmdai_${1//-/_}
  local before=${__cmdai_before[$hook]:-.auto-suffix-remove}
  [[ ${widgets[zle-$hook]-} != user:azhw:* ]] || add-zle-hook-widget -d $hook $ours
  for name in ${(k)widgets[(R)user:$ours]}; do
    if [[ $name == ($ours|zle-$hook) && $before == .* ]]; then zle -D $name; else zle -A $before $name; fi
  done
  [[ $before == .* ]] || zle -D $before
}

# A new line. Ctrl-C ends the one before it without a line-finish.
function __cmdai_line_init() {
  __cmdai_go_on line-init "$@"
  [[ -n $__cmdai_settled ]] || __cmdai_settle
  [[ $CONTEXT == start ]] || return 0
  __cmdai_let_go
  __cmdai_offer=()
  __cmdai_request=
}

# Once, at the first prompt: what took Enter after us would otherwise get the task lines.
function __cmdai_settle() {
  local map
  __cmdai_settled=1
  __cmdai_hook line-finish
  __cmdai_hook line-pre-redraw
  [[ ${CMDAI_WARM_UP-} != 0 && ${CMDAI_SERVER-} != 0 && ${CMDAI_COMMENT-} != 0 ]] || __cmdai_socket=
  [[ ${CMDAI_COMMENT-} != 0 ]] || return 0
  # Asking for a binding costs a fork, so the first Enter does that.
  for map in main emacs viins vicmd; do bindkey -N __cmdai_$map $map; done
  __cmdai_bind_enter
}

function __cmdai_bind_enter() {
  local map
  for map in emacs viins vicmd; do bindkey -M $map '^M' cmdai-enter '^J' cmdai-enter; done
}

# Sets reply to what the keys are bound to, given as KEYMAP KEY …; zsh only prints that. On Linux it goes through the
# nameless file of a here-string, which can be opened anew for writing; elsewhere through a fork, which takes 1.5 ms.
function __cmdai_bindings() {
  local fd
  if { exec {fd}<<<'' && __cmdai_print_bindings $@ >|/dev/fd/$fd } 2>/dev/null; then
    reply=("${(@f)$(</dev/fd/$fd)}")
  else
    reply=("${(@f)$(__cmdai_print_bindings $@)}")
  fi
  [[ -z $fd ]] || exec {fd}<&-
  reply=("${(@)reply#*\" }")
}

function __cmdai_print_bindings() {
  local map key
  for map key; do bindkey -M $map -- $key 2>/dev/null || print; done
}

function __cmdai_note_bindings() {
  local map key
  local -a reply
  __cmdai_bindings $@
  for map key; do
    __cmdai_was[$map/$key]=$reply[1]
    shift reply
  done
}

# What Enter did at the first prompt, where that was not ours.
function __cmdai_look_up() {
  local map key
  local -a keys reply
  (( ! $#__cmdai_late && $keymaps[(I)__cmdai_main] )) || return 0
  for map in main emacs viins vicmd; do keys+=(__cmdai_$map '^M' __cmdai_$map '^J'); done
  __cmdai_bindings $keys
  for map key in $keys; do
    __cmdai_late[${map#__cmdai_}/$key]=${reply[1]:#(cmdai-enter|undefined-key)}
    shift reply
  done
  for map in main emacs viins vicmd; do bindkey -D __cmdai_$map; done
}

function __cmdai_bind_back() {
  case $3 in
    undefined-key|cmdai-*|'') bindkey -M $1 -r -- $2 ;;
    \"*) bindkey -M $1 -s -- $2 ${${3#\"}%\"} ;;
    *) bindkey -M $1 -- $2 $3 ;;
  esac
}

function cmdai_unload() {
  local name map key
  local -a keys reply
  __cmdai_let_go
  __cmdai_look_up
  for name in ${(k)__cmdai_was}; do keys+=(${name%%/*} ${name#*/}); done
  __cmdai_bindings $keys
  for map key in $keys; do
    name=$map/$key
    [[ $map-$reply[1] != (*-cmdai-*|(isearch|menuselect)-send-break) ]] ||
      __cmdai_bind_back $map $key ${__cmdai_late[$name]:-$__cmdai_was[$name]}
    shift reply
  done
  for name in line-init line-finish line-pre-redraw; do __cmdai_unhook $name; done
  for name in cmdai-{suggest,explain,enter}; do zle -D $name; done
  unset CMDAI_KEYS_TAKEN
  unset -m '__cmdai_*'
  unfunction -m '__cmdai_*' 'cmdai-(suggest|explain|enter)' cmdai_unload
}

# The key $1 as bindkey writes it.
function __cmdai_key() {
  case ${(L)1} in
    ctrl-?) REPLY=^${(U)1[-1]} ;;
    alt-?) REPLY=^[${1[-1]} ;;
    *) REPLY=$1 ;;
  esac
}

# Binds the key $1 to $2 in the keymaps that follow, over what somebody else has bound only where $3 says so.
function __cmdai_bind_key() {
  local key=$1 widget=$2 chosen=$3 map was
  local -A own=('emacs/^G' send-break 'viins/^G' list-expand 'vicmd/^G' list-expand 'emacs/^[g' get-line)
  shift 3
  for map; do
    was=$__cmdai_was[$map/$key]
    if [[ -n $chosen || $was == (undefined-key|cmdai-*|$own[$map/$key]) ]]; then
      bindkey -M $map -- $key $widget
    else
      taken+=("${(L)${key/#\^\[/alt-}/#\^/ctrl-}: $was")
    fi
  done
}

# Alt-G is Esc and g, which vi users type.
function __cmdai_bind_keys() {
  local REPLY suggest explain map
  local -aU taken
  local -a keys
  __cmdai_key "${CMDAI_KEY-^G}"; suggest=$REPLY
  __cmdai_key "${CMDAI_EXPLAIN_KEY-^[g}"; explain=${REPLY:#$suggest}
  for map in main emacs viins vicmd; do
    keys+=($map '^M' $map '^J')
    [[ -z $suggest ]] || keys+=($map $suggest)
    [[ -z $explain ]] || keys+=($map $explain)
  done
  __cmdai_note_bindings $keys isearch '^G'
  [[ ${CMDAI_COMMENT-} == 0 ]] || __cmdai_bind_enter
  [[ -z $suggest ]] || __cmdai_bind_key $suggest cmdai-suggest "${CMDAI_KEY+chosen}" emacs viins vicmd
  [[ -z $explain ]] ||
    __cmdai_bind_key $explain cmdai-explain "${CMDAI_EXPLAIN_KEY+chosen}" emacs vicmd ${CMDAI_EXPLAIN_KEY+viins}
  # Incremental search keeps its way out.
  [[ ${(L)suggest} != '^g' || $__cmdai_was[isearch/^G] != undefined-key ]] || bindkey -M isearch '^G' send-break
  unset CMDAI_KEYS_TAKEN
  (( ! $#taken )) || typeset -gx CMDAI_KEYS_TAKEN=${(j:; :)taken}
}

zle -N cmdai-suggest
zle -N cmdai-explain
zle -N cmdai-enter
__cmdai_bind_keys
__cmdai_hook line-init
