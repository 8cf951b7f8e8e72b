#!/usr/bin/env bash
# Tests of install.sh: every case runs in a scratch home with stand-ins for cargo, the compilers and cmdai, under each
# POSIX shell found here. `tests/install.sh WORD` runs the cases whose name contains WORD.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
passed=0 failed=0 skipped=0 filter=${1:-}

# --- stand-ins

stand_in() {
    mkdir -p "$1"
    cat >"$1/$2"
    chmod 755 "$1/$2"
}

make_stand_ins() {
    tools=$scratch/tools
    for tool in cc c++ make; do
        stand_in "$tools" "$tool" <<<'#!/bin/sh'
    done
    stand_in "$tools" cmake <<<$'#!/bin/sh\necho "cmake version ${FAKE_CMAKE_VERSION:-3.31.6}"'
    stand_in "$tools" cargo <<'SH'
#!/bin/sh
[ "$1" != --version ] || { echo "${FAKE_CARGO_VERSION:-cargo 1.95.0 (f2d3ce0bd 2026-03-21)}"; exit; }
echo "cargo $* in $PWD, AVX2 ${GGML_AVX2-unset}, key ${CMDAI_BUILD_KEY-unset}" \
    "flags ${RUSTFLAGS-unset}, kernels ${MLX_RS_METAL_PATH-unset}, without: ${CMDAI_NO_MLX-}" >>"$HOME/../cargo.log"
case "${RUSTFLAGS-} $*" in *${FAKE_CARGO_FAILS:-nothing}*) exit 101 ;; esac
[ -d "$CARGO_TARGET_DIR" ] || { mkdir -p "$CARGO_TARGET_DIR/release" && : >"$CARGO_TARGET_DIR/CACHEDIR.TAG"; }
{ cat "$(dirname "$0")/fake-cmdai" && echo "# ${FAKE_VERSION-}"; } >"$CARGO_TARGET_DIR/release/cmdai"
chmod 755 "$CARGO_TARGET_DIR/release/cmdai"
[ -z "${MLX_RS_METAL_PATH-}" ] || { mkdir -p "$MLX_RS_METAL_PATH" && echo compiled >"$MLX_RS_METAL_PATH/mlx.metallib"; }
SH
    stand_in "$tools" fake-cmdai <<'SH'
#!/bin/sh
case "$1 ${2-}" in
'model pull') [ -z "${FAKE_PULL_FAILS:-}" ] || exit 1
    mkdir -p "$HOME/.local/share/cmdai/models" && echo weights >"$HOME/.local/share/cmdai/models/a.gguf" ;;
init*) echo "echo sourced-$2" ;;
esac
SH
    stand_in "$scratch/linux" uname <<'SH'
#!/bin/sh
case $1 in -s) echo "${FAKE_SYSTEM:-Linux}" ;; *) echo "${FAKE_MACHINE:-x86_64}" ;; esac
SH
    stand_in "$scratch/linux" cat <<'SH'
#!/bin/sh
[ "${1-}" != /proc/cpuinfo ] || set -- "${FAKE_CPUINFO:-/proc/cpuinfo}"
exec /bin/cat "$@"
SH
    mkdir -p "$scratch/clang" && : >"$scratch/clang/libclang.so"
}

# --- running and judging

# A fresh home for the case; the tree of a home as text, to compare.
new_home() {
    case_dir=$scratch/case.$((++case_number))
    home=$case_dir/home
    mkdir -p "$home"
}

tree() {
    # shellcheck disable=SC2012 # ls is the one portable way to a file's mode
    (cd "$1" && find . | LC_ALL=C sort | while IFS= read -r entry; do
        printf '%s %s %s %s\n' "$(ls -ld "$entry" | cut -c 1-10)" "$entry" \
            "$([ -h "$entry" ] && readlink "$entry")" "$([ -f "$entry" ] && cksum <"$entry")"
    done)
}

# install ARGUMENTS: runs install.sh in $home under $shell, without a terminal; sets output and status.
install() {
    # shellcheck disable=SC2086 # $shell is words
    output=$(env -i HOME="$home" PATH="${path:-$tools:$scratch/linux:$PATH}" LIBCLANG_PATH="$scratch/clang" \
        SHELL=/bin/bash ${settings[@]+"${settings[@]}"} $shell "${script:-$root/install.sh}" "$@" 2>&1 </dev/null)
    status=$?
}

fails() {
    printf 'FAILED %s (%s): %s\n' "$name" "$shell" "$1"
    [ -z "${output-}" ] || printf '%s\n' "$output" | sed 's/^/    /'
    exit 1
}

skip() {
    printf 'skipped %s (%s): %s\n' "$name" "$shell" "$1"
    exit 77
}

expect_status() { [ "$status" = "$1" ] || fails "exit status $status, wanted $1"; }
expect_output() { [[ $output == *"$1"* ]] || fails "no '$1' in the output"; }
expect_no_output() { [[ $output != *"$1"* ]] || fails "'$1' in the output"; }
expect_same() { [ "$1" = "$2" ] || fails "$3: $(diff <(printf '%s\n' "$1") <(printf '%s\n' "$2"))"; }
expect_file() { [ -e "$1" ] || fails "no $1"; }
expect_no_file() { [ ! -e "$1" ] || fails "$1 is there"; }
has() { command -v "$1" >/dev/null 2>&1; }

# --- cases

one_command_installs_program_model_and_blocks() {
    install --yes
    expect_status 0
    [ -x "$home/.local/bin/cmdai" ] || fails 'no program'
    expect_file "$home/.local/share/cmdai/models/a.gguf"
    grep -q '^# >>> cmdai >>>$' "$home/.bashrc" || fails 'no block in .bashrc'
    expect_file "$home/.config/fish/conf.d/cmdai.fish"
    expect_output 'find files larger than 10 MB'
    expect_output "$home/.local/bin is not on your PATH"
}

cargo_gets_the_settings_of_build_env() {
    install --build-env
    local key=${output##*CMDAI_BUILD_KEY=}
    install --yes
    local wanted="cargo build --release --locked in $root, AVX2 "
    grep -q "^$wanted\(ON\|OFF\|unset\), key $key " "$case_dir/cargo.log" || fails "cargo.log: $(<"$case_dir/cargo.log")"
    expect_file "$home/.cache/cmdai/build/$key/release/cmdai"
}

three_runs_are_one_run() {
    printf 'alias a=b' >"$home/.bashrc"
    install --yes
    local once
    once=$(tree "$home")
    install --yes
    install --yes
    expect_status 0
    expect_same "$once" "$(tree "$home")" 'the home tree changed'
}

reinstalling_to_another_prefix_moves_the_block_in_place() {
    printf 'first=1' >"$home/.bashrc"
    install --yes
    echo 'last=1' >>"$home/.bashrc"
    install --yes --prefix "$home/other place"
    [ "$(grep -c '^# >>> cmdai >>>$' "$home/.bashrc")" = 1 ] || fails 'not one block'
    [ "$(tail -n 1 "$home/.bashrc")" = last=1 ] || fails 'the block moved'
    install --uninstall --yes
    expect_same $'first=1\nlast=1' "$(cat "$home/.bashrc")" 'rc file'
}

# The table of start-up files that must come back byte for byte.
write_rc_files() {
    case $1 in
    missing) ;;
    empty) : >"$2" ;;
    newline_only) echo >"$2" ;;
    no_final_newline) printf 'a=1\nb=2' >"$2" ;;
    two_final_newlines) printf 'a=1\n\n\n' >"$2" ;;
    carriage_returns) printf 'a=1\r\nb=2\r\n' >"$2" ;;
    carriage_return_last) printf 'a=1\r\nb=2\r' >"$2" ;;
    marks_like_text) printf '# >>> cmdai >>> notes\necho "# <<< cmdai <<<"\n # >>> cmdai >>>\n# <<< cmdai <<<\n' >"$2" ;;
    another_tools_block) printf '# >>> conda initialize >>>\nx\n# <<< conda initialize <<<\n' >"$2" ;;
    odd_bytes) printf 'a=\377\200\001\nb=\\n%%s\n' >"$2" ;;
    private) echo secret=1 >"$2" && chmod 600 "$2" ;;
    link) mkdir "$home/dotfiles" && echo a=1 >"$home/dotfiles/rc" && ln -s "$home/dotfiles/rc" "$2" ;;
    relative_link) mkdir -p "$home/dotfiles" && printf a=1 >"$home/dotfiles/rc" && ln -s dotfiles/rc "$2" ;;
    esac
}

uninstalling_gives_the_home_back_byte_for_byte() {
    local kind before
    for kind in missing empty newline_only no_final_newline two_final_newlines carriage_returns carriage_return_last \
        marks_like_text another_tools_block odd_bytes private link relative_link; do
        new_home
        write_rc_files "$kind" "$home/.bashrc"
        before=$(tree "$home")
        install --yes
        expect_status 0
        grep -q sourced <(bash --norc -c ". '$home/.bashrc'" 2>&1) && fails "$kind: sourced in a shell without a user"
        grep -q '^# >>> cmdai >>>$' "$home/.bashrc" || fails "$kind: no block"
        [ ! -h "$home/.bashrc" ] || [ "$kind" = link ] || [ "$kind" = relative_link ] || fails "$kind: became a link"
        install --uninstall --yes
        expect_status 0
        expect_same "$before" "$(tree "$home")" "$kind: the home tree differs"
    done
}

a_link_stays_a_link() {
    write_rc_files link "$home/.bashrc"
    install --yes
    [ -h "$home/.bashrc" ] || fails 'the link is gone'
    grep -q '^# >>> cmdai >>>$' "$home/dotfiles/rc" || fails 'the target has no block'
}

lines_added_after_the_block_stay() {
    printf 'a=1' >"$home/.bashrc"
    install --yes
    printf 'z=1' >>"$home/.bashrc"
    install --uninstall --yes
    expect_same $'a=1\nz=1' "$(cat "$home/.bashrc")" 'rc file'
    expect_output 'you have changed it since'
}

a_file_is_backed_up_before_its_first_change() {
    printf 'a=1' >"$home/.bashrc"
    install --yes
    install --yes --prefix "$home/second"
    expect_same a=1 "$(cat "$home/.local/state/cmdai/before"*bashrc)" backup
}

a_damaged_block_is_left_alone() {
    local text=$'a=1\n# >>> cmdai >>>\nb=2'
    printf %s "$text" >"$home/.bashrc"
    install --yes
    expect_status 1
    expect_output 'do not pair up'
    install --uninstall --yes
    expect_same "$text" "$(cat "$home/.bashrc")" 'rc file'
}

a_read_only_file_is_named_and_its_lines_printed() {
    local as_user=()
    echo a=1 >"$home/.bashrc"
    chmod 444 "$home/.bashrc"
    if [ "$(id -u)" = 0 ]; then
        has setpriv || fails 'needs setpriv to run as another user'
        chown -R 65534 "$case_dir"
        as_user=(setpriv --reuid=65534 --clear-groups)
    fi
    mkdir "$case_dir/source" && cp "$root/install.sh" "$root/Cargo.toml" "$case_dir/source"
    script=$case_dir/source/install.sh shell="${as_user[*]} $shell" install --yes
    expect_status 1
    expect_output 'it is read-only'
    expect_output "add to $home/.bashrc"
    expect_file "$home/.local/bin/cmdai"
}

no_rc_changes_no_file_and_prints_the_lines() {
    echo a=1 >"$home/.bashrc"
    install --yes --no-rc
    expect_status 0
    expect_same a=1 "$(cat "$home/.bashrc")" 'rc file'
    expect_no_file "$home/.config"
    expect_output "add to $home/.bashrc"
    expect_output 'init bash'
}

without_terminal_and_yes_the_lines_are_printed() {
    echo a=1 >"$home/.bashrc"
    install
    expect_status 0
    expect_same a=1 "$(cat "$home/.bashrc")" 'rc file'
    expect_output "add to $home/.bashrc"
}

# Answers the questions on a pseudo-terminal.
install_on_terminal() {
    local answer=$1
    shift
    # shellcheck disable=SC2086 # $shell is words
    output=$(env -i HOME="$home" PATH="$tools:$scratch/linux:$PATH" LIBCLANG_PATH="$scratch/clang" ANSWER="$answer" \
        python3 -c 'import os, pty, sys
def answer(fd, sent=[]):
    text = os.read(fd, 4096)
    if b"] " in text[-3:]: os.write(fd, os.environb[b"ANSWER"] + b"\n")
    return text
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:], answer, lambda fd: b"")))' \
        $shell "$root/install.sh" "$@" 2>&1)
    status=$?
}

on_a_terminal_it_asks() {
    echo a=1 >"$home/.bashrc"
    install_on_terminal n
    expect_status 0
    expect_output '[Y/n]'
    expect_same a=1 "$(cat "$home/.bashrc")" 'rc file after no'
    install_on_terminal ''
    grep -q '^# >>> cmdai >>>$' "$home/.bashrc" || fails 'no block after Enter'
    install_on_terminal y
    expect_no_output '[Y/n]'
    install_on_terminal '' --uninstall
    expect_output '[y/N]'
    expect_file "$home/.local/share/cmdai/models/a.gguf"
    expect_same a=1 "$(cat "$home/.bashrc")" 'rc file after uninstall'
}

uninstalling_takes_the_cache_along() {
    install --yes
    mkdir -p "$home/.cache/cmdai/mlx" "$home/.cache/cmdai/prefix" "$home/.cache/cmdai/run" "$home/own/mlx" && echo packed >"$home/.cache/cmdai/mlx/a.safetensors"
    echo mine >"$home/own/mine" && echo packed >"$home/own/mlx/a.safetensors"
    install --uninstall
    expect_no_file "$home/.cache/cmdai/mlx"
    expect_no_file "$home/.cache/cmdai/prefix"
    expect_no_file "$home/.cache/cmdai/run"
    expect_file "$home/own/mlx/a.safetensors"
    install --yes --no-model
    settings=(CMDAI_CACHE_DIR="$home/own")
    install --uninstall
    expect_no_file "$home/own/mlx"
    expect_file "$home/own/mine"
}

uninstalling_keeps_models_unless_told() {
    install --yes
    install --uninstall
    expect_status 0
    expect_file "$home/.local/share/cmdai/models/a.gguf"
    expect_output 'Kept the models'
    install --uninstall --purge
    expect_no_file "$home/.local"
}

uninstalling_gives_back_a_program_that_was_there() {
    mkdir -p "$home/.local/bin"
    echo another >"$home/.local/bin/cmdai"
    local before
    before=$(tree "$home")
    install --yes
    settings=(FAKE_VERSION=2)
    install --yes
    [ "$(tail -n 1 "$home/.local/bin/cmdai")" = '# 2' ] || fails 'the new program is not installed'
    install --uninstall --yes
    expect_same "$before" "$(tree "$home")" 'the home tree differs'
}

uninstalling_without_a_record_deletes_no_program() {
    mkdir -p "$home/.local/bin"
    echo another >"$home/.local/bin/cmdai"
    install --uninstall --yes
    expect_status 0
    expect_file "$home/.local/bin/cmdai"
}

odd_paths_work_in_every_shell() {
    local odd="it's a \$(touch pwned) \"dir\" \\\\ end" sh
    home="$case_dir/home of $odd"
    mkdir "$home"
    install --yes --prefix "$home/$odd"
    expect_status 0
    for sh in bash zsh fish; do
        expect_same "sourced-$sh" "$(HOME=$home ZDOTDIR='' start $sh)" "$sh"
    done
    install --uninstall --yes
    expect_same '' "$(ls -A "$home")" 'left in the home'
}

# What an interactive shell of $home prints at its start, and its status.
start() {
    case $1 in
    zsh) env -i HOME="$home" PATH="$PATH" TERM=dumb zsh -o no_global_rcs -i -c : 2>&1 ;;
    bash) env -i HOME="$home" PATH="$PATH" TERM=dumb bash -i -c : 2>&1 | grep -v 'job control\|process group' ;;
    fish) env -i HOME="$home" PATH="$PATH" TERM=dumb XDG_DATA_HOME="$case_dir/fish" fish -i -c : 2>&1 ;;
    esac
}

shells_start_without_a_word_when_the_program_is_gone() {
    local sh
    install --yes
    rm "$home/.local/bin/cmdai"
    for sh in bash zsh fish; do
        expect_same '' "$(start $sh)" "$sh"
    done
}

the_block_adds_the_program_to_path_once() {
    install --yes
    local twice
    # shellcheck disable=SC2016 # the inner bash's PATH
    twice=$(env -i HOME="$home" PATH=/usr/bin:/bin bash --norc -c '. ~/.bashrc; . ~/.bashrc; echo "$PATH"')
    expect_same "/usr/bin:/bin:$home/.local/bin" "$twice" PATH
}

a_shell_without_a_user_gets_no_widget() {
    install --yes
    expect_same '' "$(env -i HOME="$home" PATH=/usr/bin:/bin bash --norc -c '. ~/.bashrc')" output
}

a_strict_rc_file_survives_the_block() {
    echo 'set -eu' >"$home/.bashrc"
    install --yes
    rm "$home/.local/bin/cmdai"
    expect_same alive "$(env -i HOME="$home" PATH=/usr/bin:/bin bash --norc -c '. ~/.bashrc; echo alive')" output
}

xdg_and_zdotdir_are_followed() {
    settings=("ZDOTDIR=$home/z dir" "XDG_CONFIG_HOME=$home/conf" "XDG_STATE_HOME=$home/st" "XDG_CACHE_HOME=$home/ca")
    install --yes --no-model
    expect_status 0
    expect_file "$home/z dir/.zshrc"
    expect_file "$home/ca/cmdai/build"
    expect_file "$home/conf/fish/conf.d/cmdai.fish"
    settings=("XDG_STATE_HOME=$home/st")
    install --uninstall --yes
    expect_same '' "$(ls -A "$home")" 'left in the home'
}

missing_tools_are_named_with_the_command_to_get_them() {
    local bare=$case_dir/bare tool
    mkdir "$bare"
    for tool in sh dash bash busybox env uname dirname grep sed awk cat id head mktemp rm cksum; do
        ! has $tool || ln -s "$(command -v $tool)" "$bare/$tool"
    done
    stand_in "$bare" apt-get <<<'#!/bin/sh'
    path=$bare install
    expect_status 1
    expect_output 'missing: a C++ compiler, make, cmake, curl'
    expect_output 'apt-get install build-essential cmake curl        (as root)'
    expect_output "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
    expect_same '' "$(ls -A "$home")" 'made in the home'
    rm "$bare/apt-get" && stand_in "$bare" dnf <<<'#!/bin/sh'
    path=$bare install
    expect_output 'dnf install gcc-c++ make cmake curl '
}

on_debian_as_root_yes_installs_the_packages() {
    stand_in "$case_dir/bin" apt-get <<SH
#!/bin/sh
echo "apt-get \$*" >>"$case_dir/apt.log"
rm -f "$case_dir/bin/xcmake"; case \$1 in install) printf '#!/bin/sh\n' >"$case_dir/bin/cmake" && chmod +x "$case_dir/bin/cmake" ;; esac
SH
    stand_in "$case_dir/bin" id <<<$'#!/bin/sh\necho 0'
    for tool in cc c++ make cargo fake-cmdai; do ln -s "$tools/$tool" "$case_dir/bin"; done
    for tool in sh dash bash busybox env uname dirname grep sed awk cat head tail mktemp rm cksum mkdir cp chmod mv cmp tr cut; do
        ! has $tool || ln -sf "$(command -v $tool)" "$case_dir/bin/$tool"
    done
    path=$case_dir/bin install --no-rc
    expect_status 1
    expect_no_file "$case_dir/apt.log"
    path=$case_dir/bin install --yes --no-rc
    expect_status 0
    grep -q '^apt-get install.* cmake$' "$case_dir/apt.log" || fails "apt.log: $(<"$case_dir/apt.log")"
}

on_a_mac_the_login_file_that_bash_reads_gets_the_block() {
    on_a_mac
    echo a=1 >"$home/.profile"
    local before
    before=$(tree "$home")
    install --yes --no-model
    expect_status 0
    grep -q '^# >>> cmdai >>>$' "$home/.profile" || fails 'no block in .profile'
    expect_no_file "$home/.bash_profile"
    expect_same '' "$(env -i HOME="$home" dash -ic '. ~/.profile' 2>/dev/null)" '.profile read by sh'
    install --uninstall --yes
    expect_same "$before" "$(tree "$home")" 'the home tree differs'
}

# Apple Silicon with Apple's tools, where `xcrun metal` ends as FAKE_METAL says, and the wheel's files are short.
on_a_mac() {
    stand_in "$case_dir/bin" xcode-select <<<'#!/bin/sh'
    stand_in "$case_dir/bin" xcrun <<'SH'
#!/bin/sh
[ "$*" != '--find metal' ] || exit 0
[ "${FAKE_METAL-}" = works ] && exit
echo 'xcrun: error: unable to find utility "metal", not a developer tool or in PATH' >&2
exit 72
SH
    stand_in "$case_dir/source/src/engine/mlx/link" link <<'SH'
#!/bin/sh
[ -z "${FAKE_LINK_FAILS-}" ] || exit 1
mkdir -p "$1/wheel/mlx/lib" && : >"$1/config.toml"
for file in ${FAKE_WHEEL-libmlx.dylib libjaccl.dylib mlx.metallib}; do echo prebuilt >"$1/wheel/mlx/lib/$file"; done
SH
    cp "$root/install.sh" "$root/Cargo.toml" "$case_dir/source"
    script=$case_dir/source/install.sh
    path=$case_dir/bin:$tools:$scratch/linux:$PATH
    settings=(FAKE_SYSTEM=Darwin FAKE_MACHINE=arm64 "$@")
}

a_mac_with_the_metal_compiler_compiles_mlx() {
    on_a_mac FAKE_METAL=works
    local before
    before=$(tree "$home")
    install --yes --no-model
    expect_status 0
    expect_no_output PyPI
    expect_same "$(ls "$home/.local/lib/cmdai")" mlx.metallib 'what the program loads'
    expect_same compiled "$(cat "$home/.local/lib/cmdai/mlx.metallib")" kernels
    expect_same source "$(ways)" 'the ways tried'
    install --uninstall --yes
    expect_same "$before" "$(tree "$home")" 'the home tree differs'
}

a_mac_without_the_metal_compiler_links_the_prebuilt_library() {
    on_a_mac
    local before installed=$home/.local/lib/cmdai
    before=$(tree "$home")
    install --yes --no-model
    expect_status 0
    expect_output 'there is no Metal compiler'
    grep -q "^cargo build --release --locked --config $home/.cache/cmdai/build/mlx/config.toml " "$case_dir/cargo.log" ||
        fails "cargo.log: $(<"$case_dir/cargo.log")"
    expect_same $'libjaccl.dylib\nlibmlx.dylib\nmlx.metallib' "$(ls -A "$installed")" 'what the program loads'
    install --uninstall --yes
    expect_status 0
    expect_same "$before" "$(tree "$home")" 'the home tree differs'
}

# Written over in place, a signed library that a program has loaded kills it.
a_library_in_use_is_replaced_and_not_written_over() {
    on_a_mac
    install --yes --no-model
    echo old >"$home/.local/lib/cmdai/libmlx.dylib"
    exec 3<"$home/.local/lib/cmdai/libmlx.dylib"
    install --yes --no-model
    expect_same old "$(cat <&3)" 'the library in use'
    expect_same prebuilt "$(cat "$home/.local/lib/cmdai/libmlx.dylib")" 'the library installed'
}

a_library_that_is_no_longer_loaded_goes() {
    on_a_mac
    install --yes --no-model
    settings+=(FAKE_METAL=works)
    install --yes --no-model
    expect_same mlx.metallib "$(ls "$home/.local/lib/cmdai")" 'after compiling MLX'
    settings+=(CMDAI_MLX=none)
    install --yes --no-model
    expect_same '' "$(ls "$home/.local/lib/cmdai")" 'after leaving MLX out'
}

an_old_cmake_cannot_compile_mlx() {
    on_a_mac FAKE_METAL=works FAKE_CMAKE_VERSION=3.24.4
    install --yes --no-model
    expect_status 0
    expect_output 'it needs cmake 3.25 or newer'
    expect_file "$home/.local/lib/cmdai/libmlx.dylib"
    settings+=(FAKE_CMAKE_VERSION=4.0.1)
    install --yes --no-model
    expect_no_file "$home/.local/lib/cmdai/libmlx.dylib"
}

without_python_a_mac_gets_llama_cpp() {
    on_a_mac
    cp "$root/src/engine/mlx/link/link" "$case_dir/source/src/engine/mlx/link"
    stand_in "$case_dir/bin" python3 <<<$'#!/bin/sh\necho "No module named pip" >&2; exit 1'
    settings+=(RUSTFLAGS=-Cdebuginfo=0)
    local before
    before=$(tree "$home")
    install --yes --no-model
    expect_status 0
    expect_output 'there is no Metal compiler'
    expect_output 'No module named pip'
    expect_output 'llama.cpp will use the GPU'
    grep -q 'flags -Cdebuginfo=0 --cfg without_mlx,.* without: there is no Metal compiler.* and its prebuilt library ' \
        "$case_dir/cargo.log" || fails "cargo.log: $(<"$case_dir/cargo.log")"
    expect_no_file "$home/.local/lib"
    install --uninstall --yes
    expect_same "$before" "$(tree "$home")" 'the home tree differs'
}

a_way_to_mlx_that_fails_leads_to_the_next() {
    on_a_mac FAKE_METAL=works FAKE_CARGO_FAILS=--locked
    install --yes --no-model
    expect_status 1
    expect_same 'source prebuilt none' "$(ways)" 'the ways tried'
    on_a_mac FAKE_METAL=works FAKE_CARGO_FAILS=--config FAKE_LINK_FAILS=1 CMDAI_MLX=prebuilt
    install --yes --no-model
    expect_status 1
    expect_same '' "$(ways)" 'the ways tried after the one that was asked for'
    settings+=(CMDAI_MLX=magic)
    install --yes --no-model
    expect_status 1
    expect_output 'it can be source, prebuilt or none'
}

# How MLX was to get in, in each call of cargo since the last call of this.
ways() {
    awk '/ --config / { print "prebuilt" } /without_mlx/ { print "none" } /kernels [/]/ { print "source" }' \
        "$case_dir/cargo.log" | paste -sd ' ' -
    : >"$case_dir/cargo.log"
}

build_env_lets_plain_cargo_work_on_a_mac() {
    on_a_mac
    install --build-env
    expect_output "export RUSTFLAGS='--cfg without_mlx'"
    settings+=(FAKE_METAL=works)
    install --build-env
    expect_no_output RUSTFLAGS
    settings+=(CMDAI_MLX=none)
    install --build-env
    expect_output "export RUSTFLAGS='--cfg without_mlx'"
}

a_mac_without_apples_tools_is_told() {
    stand_in "$case_dir/bin" xcode-select <<<$'#!/bin/sh\nexit 2'
    path=$case_dir/bin:$tools:$scratch/linux:$PATH
    settings=(FAKE_SYSTEM=Darwin FAKE_MACHINE=arm64)
    install --yes
    expect_status 1
    expect_output 'hint: xcode-select --install'
}

an_old_rust_is_refused() {
    settings=('FAKE_CARGO_VERSION=cargo 1.87.9 (abc 2025-05-05)')
    install --yes
    expect_status 1
    expect_output 'Rust 1.88 or newer (found cargo 1.87.9'
    settings=('FAKE_CARGO_VERSION=cargo 2.0.0-nightly')
    install --yes
    expect_status 0
}

unknown_platforms_are_refused() {
    local pair
    for pair in 'FreeBSD x86_64' 'Linux riscv64' 'Linux i686' 'Darwin ppc' 'MINGW64_NT-10.0 x86_64'; do
        settings=("FAKE_SYSTEM=${pair% *}" "FAKE_MACHINE=${pair#* }")
        install --yes
        expect_status 1
        expect_output 'not supported'
        expect_same '' "$(ls -A "$home")" 'made in the home'
    done
}

homes_that_are_no_homes_are_refused() {
    settings=(HOME=)
    install --yes
    expect_status 1
    expect_output 'HOME is not set'
    settings=(HOME=relative)
    install --yes
    expect_status 1
    expect_output 'not an absolute path'
}

wrong_arguments_are_a_usage_error() {
    install --frobnicate
    expect_status 2
    expect_output 'unknown option --frobnicate'
    install --prefix
    expect_status 2
    install --help
    expect_status 0
    expect_output 'Usage:'
}

the_build_directory_can_be_chosen() {
    settings=("CMDAI_BUILD_DIR=$case_dir/a build")
    install --build-dir
    local chosen=$output
    [[ $chosen == "$case_dir/a build/x86_64-"* ]] || fails 'not in CMDAI_BUILD_DIR'
    install --yes
    expect_file "$chosen/release/cmdai"
    install --uninstall --yes
    expect_no_file "$case_dir/a build"
}

# A tmpfs of one page behind the start-up file: its new text cannot fit.
a_full_disk_leaves_the_old_text() {
    mkdir "$case_dir/full"
    mount -t tmpfs -o size=4k tmpfs "$case_dir/full" 2>/dev/null || skip 'cannot mount a tmpfs here'
    head -c 4000 /dev/zero | tr '\\0' '#' >"$case_dir/full/rc"
    ln -s "$case_dir/full/rc" "$home/.bashrc"
    local before after
    before=$(cksum <"$case_dir/full/rc")
    install --yes
    after=$(cksum <"$case_dir/full/rc")
    umount "$case_dir/full"
    expect_status 1
    expect_output "could not write $home/.bashrc"
    expect_output "add to $home/.bashrc"
    expect_same "$before" "$after" 'rc file'
}

a_failed_build_leaves_the_old_program() {
    install --yes
    local before
    before=$(tree "$home")
    settings=(FAKE_CARGO_FAILS=build)
    install --yes
    expect_status 1
    expect_output 'could not build cmdai'
    expect_same "$before" "$(tree "$home")" 'the home tree changed'
}

a_failed_model_pull_is_told_and_the_rest_is_done() {
    settings=(FAKE_PULL_FAILS=1)
    install --yes
    expect_status 1
    expect_output 'could not fetch the model'
    grep -q '^# >>> cmdai >>>$' "$home/.bashrc" || fails 'no block'
}

a_directory_in_the_programs_place_is_refused() {
    mkdir -p "$home/.local/bin/cmdai"
    install --yes
    expect_status 1
    expect_output 'it is a directory'
}

# cpu FEATURES: what --build-env says of such a processor, without the key.
cpu() {
    printf 'processor : 0\n%s\nprocessor : 1\nflags : other\n' "$1" >"$case_dir/cpuinfo"
    settings+=("FAKE_CPUINFO=$case_dir/cpuinfo")
    install --build-env
    expect_status 0
    output=$(printf '%s\n' "$output" | sed -n 's/^export GGML_//p' | grep -v =OFF | tr '\n' ' ')
}

build_env_follows_the_processor() {
    cpu 'flags : fpu sse4_2'
    expect_same 'SSE42=ON ' "$output" Nehalem
    cpu 'flags : sse4_2 avx f16c'
    expect_same 'SSE42=ON AVX=ON F16C=ON ' "$output" 'Ivy Bridge'
    cpu 'flags : sse4_2 avx f16c fma bmi2 avx2 avx_vnni'
    expect_same 'SSE42=ON AVX=ON AVX2=ON FMA=ON F16C=ON BMI2=ON AVX_VNNI=ON ' "$output" 'Alder Lake'
    cpu 'flags : avx2'
    expect_same 'AVX2=ON ' "$output" 'no FMA'
    cpu 'flags : avx512f avx512bw avx512dq avx512vl avx512_vnni'
    expect_same '' "$output" 'AVX-512 without CD'
    cpu 'flags : avx512f avx512bw avx512dq avx512vl avx512cd avx512vbmi avx512_vnni avx512_bf16 amx_tile'
    expect_same 'AVX512=ON AVX512_VBMI=ON AVX512_VNNI=ON AVX512_BF16=ON ' "$output" 'Sapphire Rapids'
    install --build-env
    [ "$(grep -c '^export GGML_.*=O[NF]' <<<"$output")" = 14 ] || fails 'not all 14 switches are given'
}

build_env_knows_arm_and_apple() {
    settings=(FAKE_MACHINE=aarch64)
    cpu 'Features : fp asimd evtstrm crc32'
    expect_same 'CPU_ARM_ARCH=armv8-a ' "$output" 'Cortex-A72'
    cpu 'Features : fp asimd fphp asimdhp asimddp sve i8mm'
    expect_same 'CPU_ARM_ARCH=armv8.2-a+dotprod+fp16+i8mm ' "$output" Neoverse
    settings=(FAKE_SYSTEM=Darwin FAKE_MACHINE=arm64)
    cpu ''
    expect_same '' "$output" 'Apple Silicon'
    stand_in "$case_dir/bin" sysctl <<<$'#!/bin/sh\necho FPU SSE4.2 AVX1.0 FMA F16C\necho AVX2 BMI2'
    path=$case_dir/bin:$tools:$scratch/linux:$PATH
    settings=(FAKE_SYSTEM=Darwin)
    cpu ''
    expect_same 'SSE42=ON AVX=ON AVX2=ON FMA=ON F16C=ON BMI2=ON ' "$output" 'Intel Mac'
}

build_env_leaves_out_what_the_compiler_lacks() {
    stand_in "$case_dir/bin" c++ <<<$'#!/bin/sh\ncase $1 in -mavxvnni | *i8mm) exit 1 ;; esac'
    path=$case_dir/bin:$tools:$scratch/linux:$PATH
    cpu 'flags : avx2 avx_vnni'
    expect_same 'AVX2=ON ' "$output" 'GCC 10'
    settings+=(FAKE_MACHINE=aarch64)
    cpu 'Features : asimddp i8mm'
    expect_same 'CPU_ARM_ARCH=armv8.2-a+dotprod ' "$output" 'GCC 9'
}

a_script_cut_short_runs_nothing() {
    local size at
    size=$(($(wc -c <"$root/install.sh")))
    mkdir "$case_dir/source" && cp "$root/Cargo.toml" "$case_dir/source"
    script=$case_dir/source/install.sh
    for at in $(seq 1 50 $((size - 40))) $(seq $((size - 40)) $((size - 2))); do
        head -c "$at" "$root/install.sh" >"$script"
        install --build-env
        [[ $output != *export* ]] || fails "cut at byte $at of $size: ran"
        install --yes
        expect_same '' "$(ls -A "$home")" "cut at byte $at of $size: made in the home"
    done
}

busybox_tools_do() {
    [ "$(uname)" != Darwin ] || skip 'macOS has no busybox'
    has busybox || fails 'needs busybox'
    mkdir "$case_dir/box"
    local applet
    for applet in $(busybox --list); do
        case $applet in cc | make | sh | bash | zsh) ;; *) ln -s "$(command -v busybox)" "$case_dir/box/$applet" ;; esac
    done
    rm -f "$case_dir/box/uname" "$case_dir/box/cat"
    printf 'a=1' >"$home/.bashrc"
    local before
    before=$(tree "$home")
    path=$tools:$scratch/linux:$case_dir/box:$PATH
    install --yes
    expect_status 0
    install --yes --prefix "$home/o"
    install --uninstall --yes
    expect_status 0
    expect_same "$before" "$(tree "$home")" 'the home tree differs'
}

# --- all of them

run_case() {
    name=$1
    case_number=$((case_number + 100))
    (settings=() path='' script='' && new_home && "$name")
    case $? in
    0) passed=$((passed + 1)) ;;
    77) skipped=$((skipped + 1)) ;;
    *) failed=$((failed + 1)) ;;
    esac
}

cases() { declare -F | awk '{ print $3 }' | grep -Fx -f <(sed -n 's/^\([a-z_0-9]*\)() {$/\1/p' <(sed -n '/^# --- cases/,/^# --- all/p' "$0")) |
    grep -vx 'start\|cpu\|write_rc_files\|install_on_terminal\|on_a_mac\|ways'; }

for tool in zsh fish python3; do
    has $tool || { echo "tests/install.sh: $tool is missing; tests/run --setup gets it" >&2 && exit 1; }
done
make_stand_ins
case_number=0
for shell in dash 'busybox sh' 'bash --posix'; do
    # A Mac has no busybox; its sh is bash 3.2.
    [ "$shell" != 'busybox sh' ] || [ "$(uname)" != Darwin ] || shell=/bin/sh
    has "${shell%% *}" || { echo "FAILED: no ${shell%% *} on this machine" && failed=$((failed + 1)) && continue; }
    for case in $(cases); do
        case $case in *"$filter"*) run_case "$case" ;; esac
    done
done
echo "install.sh: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
