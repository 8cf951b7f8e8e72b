#!/bin/sh
# Builds cmdai for this machine and sets it up: program, model, a few marked lines in the shells' start-up files.
# It never calls sudo, and --uninstall gives back what it changed byte for byte, by the record it keeps.
# POSIX sh (dash, busybox, bash 3.2). One brace holds everything, so that a script cut short runs nothing.
{
BEGIN_MARK='# >>> cmdai >>>'
END_MARK='# <<< cmdai <<<'
NOTE_MADE='# This file was made for these lines.'
NOTE_NO_NEWLINE='# The line before this block had no newline at its end.'
RUST_MINIMUM=1.88
# MLX's own; llama.cpp takes older ones.
MLX_CMAKE_MINIMUM=3.25

usage() {
    cat <<'HELP'
Build cmdai from this source tree and set it up

Usage: ./install.sh [OPTIONS]

Options:
  -y, --yes       Answer yes to every question; as root on Debian, also install missing packages
  --prefix DIR    Put the program into DIR/bin (default: ~/.local)
  --no-model      Do not fetch the model (about 1.1 GB)
  --no-rc         Do not touch the shells' start-up files
  --uninstall     Take everything back; asks before it deletes models (--yes and --purge delete them)
  --purge         With --uninstall, delete the models without asking
  --build-env     Print the build settings for this machine's processor, for eval
  --build-dir     Print the directory that cargo builds in
  -h, --help      Print this help

Environment:
  CMDAI_BUILD_DIR   Where to build (default: $XDG_CACHE_HOME/cmdai/build or ~/.cache/cmdai/build)
  CMDAI_MLX         How MLX gets in on Apple Silicon: source, prebuilt or none (default: the first that works)
HELP
}

main() {
    set -u
    parse_arguments "$@"
    find_source
    find_platform
    case $action in
    build-env) build_env && mlx_setting ;;
    build-dir) find_home && build_dir ;;
    uninstall) find_home && uninstall ;;
    install) find_home && install ;;
    esac
}

install() {
    open_work
    require_tools
    make_directory "$state_dir"
    build
    put_libraries
    put_program
    [ "$with_model" = no ] || pull_model
    set_up_shells
    first_steps
    [ "$problems" = 0 ] || exit 1
}

open_work() {
    problems=0 partial=''
    work=$(mktemp -d) || fail 'could not make a temporary directory'
    trap 'rm -rf -- "$work"; [ -z "$partial" ] || rm -f -- "$partial"' EXIT
    trap 'exit 130' HUP INT TERM
}

parse_arguments() {
    action=install assume_yes=no with_model=yes with_rc=yes purge=no prefix='' settings=''
    while [ $# -gt 0 ]; do
        case $1 in
        -y | --yes) assume_yes=yes ;;
        --prefix) [ $# -gt 1 ] || bad_usage '--prefix needs a directory'; prefix=$2; shift ;;
        --prefix=*) prefix=${1#--prefix=} ;;
        --no-model) with_model=no ;;
        --no-rc) with_rc=no ;;
        --purge) purge=yes ;;
        --uninstall | --build-env | --build-dir) action=${1#--} ;;
        -h | --help) usage; exit 0 ;;
        *) bad_usage "unknown option $1" ;;
        esac
        shift
    done
}

# --- saying things: results on stdout, everything else on stderr

say() { printf '%s\n' "$*" >&2; }
warn() { say "install.sh: $*"; }
fail() { warn "$@"; exit 1; }
bad_usage() { warn "$@"; say 'hint: ./install.sh --help lists the options'; exit 2; }
problem() { warn "$@"; problems=1; }

# Asks a question whose default answer is $2. Without a terminal the answer is no.
ask() {
    [ "$assume_yes" = no ] || return 0
    [ -t 0 ] || return 1
    case $2 in yes) choices='[Y/n]' ;; *) choices='[y/N]' ;; esac
    printf '%s %s ' "$1" "$choices" >&2
    read -r answer || return 1
    case ${answer:-$2} in [Yy]*) return 0 ;; *) return 1 ;; esac
}

# $1 as one word of sh, zsh and bash.
quote() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

# $1 as one word of fish, where a backslash counts between single quotes.
quote_fish() { printf "'%s'" "$(printf '%s' "$1" | sed "s/[\\\\']/\\\\&/g")"; }

has() { command -v "$1" >/dev/null 2>&1; }

# --- where things are

find_source() {
    source_dir=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P) || fail 'could not tell where this script lies'
    grep -q '^name = "cmdai"' "$source_dir/Cargo.toml" 2>/dev/null ||
        fail "no cmdai source tree at $source_dir; run install.sh from a checkout, not through a pipe"
}

find_platform() {
    system=$(uname -s) machine=$(uname -m)
    case $machine in amd64) machine=x86_64 ;; aarch64) machine=arm64 ;; esac
    case $system-$machine in
    Linux-x86_64 | Linux-arm64 | Darwin-x86_64 | Darwin-arm64) ;;
    MINGW* | MSYS* | CYGWIN*) fail "Windows is not supported; in WSL this script works as on Linux" ;;
    *) fail "$system on $machine is not supported; cmdai runs on Linux and macOS, on x86-64 and arm64" ;;
    esac
}

find_home() {
    case ${HOME:-} in
    /*) ;;
    '') fail 'HOME is not set, so there is no place to install to; set it to your home directory' ;;
    *) fail "HOME is not an absolute path: $HOME" ;;
    esac
    # shellcheck disable=SC2088 # a tilde that the shell has left alone, as in --prefix=~/x
    case ${prefix:=$HOME/.local} in
    '~' | '~/'*) prefix=$HOME${prefix#'~'} ;;
    /*) ;;
    *) prefix=$PWD/$prefix ;;
    esac
    case $prefix$HOME in *'
'*) fail 'a path with a line break in it is not supported' ;; esac
    bin_dir=${prefix%/}/bin
    program=$bin_dir/cmdai
    library_dir=${prefix%/}/lib/cmdai
    state_dir=${XDG_STATE_HOME:-$HOME/.local/state}/cmdai
    record=$state_dir/installed
    case $system in
    Darwin) data_dir="$HOME/Library/Application Support/cmdai" cache_dir=$HOME/Library/Caches/cmdai ;;
    *) data_dir=${XDG_DATA_HOME:-$HOME/.local/share}/cmdai cache_dir=${XDG_CACHE_HOME:-$HOME/.cache}/cmdai ;;
    esac
    cache_dir=${CMDAI_CACHE_DIR:-$cache_dir}
}

build_dir() {
    settings=${settings:-$(build_env)}
    key=$(printf '%s\n' "$settings" | sed -n 's/^export CMDAI_BUILD_KEY=//p')
    build_root=${CMDAI_BUILD_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/cmdai/build}
    case $build_root in /*) ;; *) build_root=$PWD/$build_root ;; esac
    printf '%s\n' "$build_root/$key"
}

# --- build settings: ggml picks its instructions when it is built, and a plain cargo build takes AVX2 for granted
# (SIGILL on older processors) and leaves AVX-512 unused; so every switch is given, ON or OFF.

build_env() {
    case $system-$machine in
    *-x86_64) env_lines=$(x86_settings) ;;
    Linux-arm64) env_lines="export GGML_CPU_ARM_ARCH=$(arm_architecture)" ;;
    *) env_lines='' ;;
    esac
    key=$machine${env_lines:+-$(printf '%s' "$env_lines" | cksum | awk '{ printf "%08x", $1 }')}
    libclang_setting
    [ -z "$env_lines" ] || printf '%s\n' "$env_lines"
    printf 'export CMDAI_BUILD_KEY=%s\n' "$key"
}

x86_settings() {
    features=" $(x86_features) "
    set_switch SSE42 '' sse4_2
    set_switch AVX '' avx
    set_switch AVX2 '' avx2
    set_switch FMA '' fma
    set_switch F16C '' f16c
    set_switch BMI2 '' bmi2
    set_switch AVX_VNNI -mavxvnni avx_vnni
    set_switch AVX512 -mavx512f avx512f avx512cd avx512bw avx512dq avx512vl
    set_switch AVX512_VBMI -mavx512vbmi avx512f avx512cd avx512bw avx512dq avx512vl avx512vbmi
    set_switch AVX512_VNNI -mavx512vnni avx512f avx512cd avx512bw avx512dq avx512vl avx512_vnni
    set_switch AVX512_BF16 -mavx512bf16 avx512f avx512cd avx512bw avx512dq avx512vl avx512_bf16
    # AMX state needs a permission from the kernel that a short-lived program had better not ask for.
    set_switch AMX_TILE '' never
    set_switch AMX_INT8 '' never
    set_switch AMX_BF16 '' never
}

# The first processor's words in the line $1 of /proc/cpuinfo.
cpuinfo() {
    lines=$(cat /proc/cpuinfo 2>/dev/null)
    printf '%s\n' "$lines" | awk -v line="$1" '$1 == line { sub(/^[^:]*: */, ""); print; exit }'
}

# Processor features in the names of Linux. macOS writes SSE4.2, AVX1.0, AVX512VNNI.
x86_features() {
    case $system in
    Linux) cpuinfo flags ;;
    Darwin) sysctl -n machdep.cpu.features machdep.cpu.leaf7_features 2>/dev/null | tr 'A-Z.\n' 'a-z_ ' |
        sed 's/avx1_0/avx/g; s/avx512vnni/avx512_vnni/g; s/avx512bf16/avx512_bf16/g' ;;
    esac
}

# set_switch NAME FLAG FEATURE...: ON where the processor has each feature and the compiler knows the flag.
set_switch() {
    name=$1 flag=$2 value=ON
    shift 2
    for feature; do
        case $features in *" $feature "*) ;; *) value=OFF ;; esac
    done
    [ "$value" = OFF ] || compiler_takes "$flag" || value=OFF
    printf 'export GGML_%s=%s\n' "$name" "$value"
}

# Old compilers lack the newest flags (GCC 10 -mavxvnni). No compiler yet: assume a new one will come.
compiler_takes() {
    [ -n "$1" ] && has "${CXX:-c++}" || return 0
    "${CXX:-c++}" "$1" -E -x c++ /dev/null >/dev/null 2>&1
}

arm_architecture() {
    features=" $(cpuinfo Features) "
    base=armv8-a extensions=''
    case $features in *' asimddp '*) base=armv8.2-a extensions=+dotprod ;; esac
    case $features in *' asimdhp '*) base=armv8.2-a extensions=$extensions+fp16 ;; esac
    case $features in *' i8mm '*) base=armv8.2-a extensions=$extensions+i8mm ;; esac
    while [ -n "$extensions" ] && ! compiler_takes "-march=$base$extensions"; do
        extensions=${extensions%+*}
    done
    printf '%s\n' "$base$extensions"
}

# bindgen looks into /usr/lib*, two levels deep, and Apple's tools; it has to be told of any other place.
libclang_setting() {
    [ -z "${LIBCLANG_PATH:-}" ] || return 0
    unusual=$(find_libclang) || return 0
    case $unusual in
    /usr/lib*/*/*/* | /usr/local/lib*/*/*/*) ;;
    /usr/lib* | /usr/local/lib* | /usr/local/llvm*/lib* | /Library/Developer/CommandLineTools/usr/lib) return 0 ;;
    esac
    printf 'export LIBCLANG_PATH=%s\n' "$(quote "$unusual")"
}

# Prints the directory of the first libclang found.
find_libclang() {
    [ -z "${LIBCLANG_PATH:-}" ] || { printf '%s\n' "$LIBCLANG_PATH" && return; }
    for directory in /usr/lib/llvm-*/lib /usr/lib64 /usr/lib64/llvm*/lib* /usr/lib \
        /usr/lib/*-linux-gnu /usr/lib/llvm*/lib /usr/lib/llvm/*/lib* /usr/local/lib* /usr/local/llvm*/lib* \
        /Library/Developer/CommandLineTools/usr/lib \
        /Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib \
        /opt/homebrew/opt/llvm*/lib /usr/local/opt/llvm*/lib /opt/llvm*/lib "$(llvm-config --libdir 2>/dev/null)"; do
        for library in "$directory"/libclang.so* "$directory"/libclang-[0-9]*.so* "$directory"/libclang.dylib; do
            [ -e "$library" ] && printf '%s\n' "$directory" && return 0
        done
    done
    return 1
}

# --- what a build needs

require_tools() {
    has cargo || [ ! -x "$HOME/.cargo/bin/cargo" ] || PATH=$HOME/.cargo/bin:$PATH
    find_missing
    if [ -n "$missing_packages" ] && [ "$assume_yes" = yes ] && has apt-get && [ "$(id -u)" = 0 ]; then
        apt_install
        find_missing
    fi
    [ -n "$missing_packages$missing_rust" ] || return 0
    [ -z "$missing_packages" ] || { warn "missing:$missing_names" && say "hint: $(package_command)"; }
    [ -z "$missing_rust" ] || { warn "missing: $missing_rust" && say "hint: $(rust_command)"; }
    say 'Nothing was changed. Run install.sh again when they are there.'
    exit 1
}

find_missing() {
    missing_names='' missing_packages='' missing_rust=''
    compiler=${CXX:-c++}
    # A fresh Mac has a c++ that only offers to install Apple's tools.
    if ! has "$compiler" || ! has cc || { [ "$system" = Darwin ] && ! xcode-select -p >/dev/null 2>&1; }; then
        lacks 'a C++ compiler' compiler
    fi
    has make || [ -n "${CMAKE_GENERATOR:-}" ] || lacks make make
    has cmake || lacks cmake cmake
    find_libclang >/dev/null || lacks libclang libclang
    if ! has cargo; then
        missing_rust="cargo (Rust $RUST_MINIMUM or newer)"
        has curl || lacks curl curl
    elif ! rust_is_new_enough; then
        missing_rust="Rust $RUST_MINIMUM or newer (found $(cargo --version 2>&1 | head -n 1))"
    fi
}

lacks() {
    missing_names="${missing_names:+$missing_names,} $1"
    missing_packages="$missing_packages $2"
}

rust_is_new_enough() { at_least "$RUST_MINIMUM" "$(cargo --version 2>/dev/null | awk '{ print $2 }')"; }

# at_least MINIMUM VERSION
at_least() {
    awk -v minimum="$1" -v version="$2" 'BEGIN {
        split(version, have, "."); split(minimum, want, ".")
        exit !(have[1] > want[1] || have[1] == want[1] && have[2] + 0 >= want[2] + 0) }'
}

package_manager() {
    [ "$system" != Darwin ] || { echo brew && return; }
    for manager in apt-get dnf pacman zypper apk; do
        has "$manager" && echo "$manager" && return
    done
    echo unknown
}

package_command() {
    manager=$(package_manager)
    case $manager in
    apt-get) echo "apt-get install$(package_names)        (as root)" ;;
    dnf | zypper) echo "$manager install$(package_names)        (as root)" ;;
    pacman) echo "pacman -S --needed$(package_names)        (as root)" ;;
    apk) echo "apk add$(package_names)        (as root)" ;;
    brew) mac_commands ;;
    *) echo "install these with your system's package manager, then run install.sh again" ;;
    esac
}

mac_commands() {
    for part in $missing_packages; do
        case $part in cmake) echo 'brew install cmake' ;; *) echo 'xcode-select --install' ;; esac
    done | awk '!seen[$0]++ { printf "%s%s", separator, $0; separator = "; " }'
}

# The packages of this package manager for what is missing, each once.
package_names() {
    for part in $missing_packages; do
        case $manager-$part in
        apt-get-compiler | apt-get-make) echo build-essential ;;
        apt-get-libclang) echo libclang-dev ;;
        dnf-compiler | zypper-compiler) echo gcc-c++ ;;
        dnf-libclang | zypper-libclang) echo clang-devel ;;
        pacman-compiler | pacman-make) echo base-devel ;;
        pacman-libclang) echo clang ;;
        apk-compiler | apk-make) echo build-base ;;
        apk-libclang) echo clang-dev ;;
        *) echo "$part" ;;
        esac
    done | awk '!seen[$0]++ { printf " %s", $0 }'
}

# Most distributions' own Rust is too old; rustup's never is.
rust_command() {
    if has rustup; then
        echo 'rustup update stable'
    else
        echo "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
    fi
}

apt_install() {
    manager=apt-get
    packages=$(package_names)
    say "Installing Debian packages:$packages"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # the names are words
    { apt-get update -qq && apt-get install -y -qq $packages; } >/dev/null ||
        fail "could not install the Debian packages$packages"
}

# --- program and model

build() {
    settings=$(build_env)
    target_dir=$(build_dir)
    say "Building cmdai in $target_dir (the first time takes some minutes)"
    # Not the directory itself: cargo puts a CACHEDIR.TAG only into one that it makes.
    make_directory "$(dirname -- "$target_dir")"
    eval "$settings"
    unset CARGO_BUILD_TARGET
    case $system-$machine in
    Darwin-arm64) build_for_apple_silicon ;;
    *) cargo_build ;;
    esac || fail 'could not build cmdai; the lines above say why'
    remember build "$target_dir"
    program_starts || fail "the program just built does not start: $target_dir/release/cmdai"
}

cargo_build() {
    (cd -- "$source_dir" && CARGO_TARGET_DIR=$target_dir cargo build --release --locked "$@" >&2)
}

program_starts() { "$target_dir/release/cmdai" --version >/dev/null; }

put_program() {
    [ ! -d "$program" ] || fail "could not install to $program: it is a directory"
    put program "$target_dir/release/cmdai" "$program" 755
}

# put KIND SOURCE FILE MODE: FILE is the old one or the new one at any moment, and one that is not ours is kept.
put() {
    ! cmp -s "$2" "$3" || return 0
    make_directory "$(dirname -- "$3")"
    if [ -e "$3" ] && ! is_remembered "$1" "$3"; then
        say "Keeping the $(basename -- "$3") that was at $3 in $(backup_of "$3")"
        back_up "$3"
    fi
    partial=$(dirname -- "$3")/.cmdai.$$
    { cp -- "$2" "$partial" && chmod "$4" "$partial" && mv -f -- "$partial" "$3"; } ||
        fail "could not write $3; choose another place with --prefix DIR"
    remember "$1" "$3"
    say "Installed $3"
}

pull_model() {
    [ -n "${CMDAI_MODELS_DIR:-}" ] || make_directory "$data_dir/models"
    "$program" model pull >&2 || problem "could not fetch the model; try again with: $(quote "$program") model pull"
}

# --- MLX, the engine on Apple Silicon: compiled with the program, or MLX's own library from PyPI, or left out

build_for_apple_silicon() {
    case ${CMDAI_MLX:-} in
    '') build_with_source || build_with_prebuilt || build_with_none ;;
    source | prebuilt | none) "build_with_$CMDAI_MLX" ;;
    *) warn "CMDAI_MLX is $CMDAI_MLX; it can be source, prebuilt or none" && return 1 ;;
    esac
}

build_with_source() {
    no_mlx=$(cannot_compile_mlx) && say "MLX cannot be compiled here: $no_mlx" && return 1
    mlx_dir=$target_dir/mlx
    (export MLX_RS_METAL_PATH="$mlx_dir" && cargo_build) && program_starts && [ -e "$mlx_dir/mlx.metallib" ] && return 0
    no_mlx='it could not be compiled'
    say 'Could not build with MLX compiled from source; the lines above say why.'
    return 1
}

# Apple's command line tools have no Metal compiler, and `xcrun --find` finds one that does not run.
cannot_compile_mlx() {
    if ! xcrun metal --version >/dev/null 2>&1; then
        echo 'there is no Metal compiler (Xcode has it; Xcode 26 after: xcodebuild -downloadComponent MetalToolchain)'
    elif ! at_least "$MLX_CMAKE_MINIMUM" "$(cmake --version 2>/dev/null | awk '{ print $3; exit }')"; then
        echo "it needs cmake $MLX_CMAKE_MINIMUM or newer (brew upgrade cmake)"
    else
        return 1
    fi
}

build_with_prebuilt() {
    say "Linking MLX's prebuilt library from PyPI."
    link_dir=$(dirname -- "$target_dir")/mlx
    make_cache "$link_dir"
    mlx_dir=$link_dir/wheel/mlx/lib
    "$source_dir/src/engine/mlx/link/link" "$link_dir" >&2 &&
        cargo_build --config "$link_dir/config.toml" && program_starts && return 0
    say "Could not build with MLX's prebuilt library; the lines above say why. It needs python3 with pip, and PyPI."
    no_mlx="${no_mlx:+$no_mlx and }its prebuilt library could not be linked (it needs python3 with pip, and PyPI)"
    return 1
}

build_with_none() {
    say 'Building without MLX: llama.cpp will use the GPU. Mend what is said above and run install.sh again to have MLX.'
    mlx_dir=''
    (export CMDAI_NO_MLX="${no_mlx:-CMDAI_MLX was none}" && without_mlx && cargo_build)
}

without_mlx() { export RUSTFLAGS="${RUSTFLAGS:+$RUSTFLAGS }--cfg without_mlx"; }

# For --build-env: with it plain cargo works on a Mac that cannot compile MLX.
mlx_setting() {
    case $system-$machine-${CMDAI_MLX:-} in
    Darwin-arm64-) cannot_compile_mlx >/dev/null || return 0 ;;
    Darwin-arm64-prebuilt | Darwin-arm64-none) ;;
    *) return 0 ;;
    esac
    (without_mlx && printf 'export RUSTFLAGS=%s\n' "$(quote "$RUSTFLAGS")")
}

# A directory that --uninstall may delete, by the mark that cargo sets in its own too.
make_cache() {
    remember build "$1"
    [ ! -d "$1" ] || return 0
    { mkdir -- "$1" && echo 'Signature: 8a477f597d28d172789f06886806bc55' >"$1/CACHEDIR.TAG"; } || fail "could not make $1"
}

# What the program loads when it runs; what an earlier build put there and this one does not load goes.
# On macOS 26 libmlx loads libjaccl.
put_libraries() {
    for name in libmlx.dylib libjaccl.dylib mlx.metallib; do
        if [ -n "${mlx_dir:-}" ] && [ -e "$mlx_dir/$name" ]; then
            put library "$mlx_dir/$name" "$library_dir/$name" 644
        elif is_remembered library "$library_dir/$name"; then
            rm -f -- "$library_dir/$name"
        fi
    done
}

# --- the record: what was made, one `KIND PATH` a line, so that uninstalling needs no guesses

remember() {
    ! is_remembered "$1" "$2" || return 0
    printf '%s %s\n' "$1" "$2" >>"$record" || fail "could not write $record"
}

is_remembered() { grep -qxF -- "$1 $2" "$record" 2>/dev/null; }

remembered() { sed -n "s/^$1 //p" "$record" 2>/dev/null; }

# mkdir -p that remembers each directory it makes.
make_directory() {
    [ ! -d "$1" ] || return 0
    made_directories "$1" >"$work/directories"
    mkdir -p -- "$1" || fail "could not make the directory $1"
    while IFS= read -r made; do
        remember directory "$made"
    done <"$work/directories"
}

# The directories on the way to $1 that are not there yet, innermost first.
made_directories() {
    ancestor=$1
    while [ ! -d "$ancestor" ]; do
        printf '%s\n' "$ancestor"
        ancestor=$(dirname -- "$ancestor")
    done
}

backup_of() { printf '%s/before%s' "$state_dir" "$(printf '%s' "$1" | tr / %)"; }

back_up() {
    cp -p -- "$1" "$(backup_of "$1")" || fail "could not back up $1 to $state_dir"
}

# --- the shells' start-up files

set_up_shells() {
    rc_files >"$work/files"
    pending_files <"$work/files" >"$work/pending"
    [ -s "$work/pending" ] || return 0
    names=$(awk '{ sub(/^[^ ]* /, ""); printf "%s%s", separator, $0; separator = ", " }' "$work/pending")
    if [ "$with_rc" = yes ] && ask "Add cmdai to $names?" yes; then
        while read -r shell file; do
            set_block "$shell" "$file"
        done <"$work/pending"
    else
        while read -r shell file; do
            manual_step "$shell" "$file"
        done <"$work/pending"
    fi
}

# The shells found here and the files to change, one `SHELL FILE` a line.
rc_files() {
    ! has zsh || printf 'zsh %s\n' "${ZDOTDIR:-$HOME}/.zshrc"
    if has bash && bash_is_new_enough; then
        printf 'bash %s\n' "$HOME/.bashrc"
        [ "$system" != Darwin ] || printf 'bash %s\n' "$(bash_login_file)"
    fi
    ! has fish || printf 'fish %s\n' "${XDG_CONFIG_HOME:-$HOME/.config}/fish/conf.d/cmdai.fish"
}

# Before 4.0 (macOS ships 3.2) bash gives a key's command no access to the line.
bash_is_new_enough() { bash -c '[ "${BASH_VERSINFO[0]}" -ge 4 ]'; }

# Terminals on macOS start login shells. Only the first of the three is read, so a new one must not hide another.
bash_login_file() {
    for file in "$HOME/.bash_profile" "$HOME/.bash_login" "$HOME/.profile"; do
        [ -e "$file" ] && printf '%s\n' "$file" && return
    done
    printf '%s\n' "$HOME/.bash_profile"
}

# Passes on the lines whose file lacks the block as it should be; a file that cannot be changed is a problem.
pending_files() {
    while read -r shell file; do
        cannot_change "$file" && manual_step "$shell" "$file" && continue
        new_text "$shell" "$file" >"$work/text"
        cmp -s "$work/text" "$file" || printf '%s %s\n' "$shell" "$file"
    done
}

cannot_change() {
    reason=''
    find_block "$1"
    if [ -h "$1" ] && [ ! -e "$1" ]; then reason='it is a link to nothing'
    elif [ -e "$1" ] && [ ! -f "$1" ]; then reason='it is not a file'
    elif [ -e "$1" ] && [ ! -w "$1" ]; then reason='it is read-only'
    elif [ -e "$1" ] && [ ! -r "$1" ]; then reason='it is not readable'
    elif [ "$block" = damaged ]; then reason="its lines $BEGIN_MARK and $END_MARK do not pair up"
    fi
    [ -n "$reason" ] && problem "could not change $1: $reason"
}

manual_step() {
    say "To have cmdai in $1, add to $2:"
    "lines_for_$1" | sed 's/^/    /' >&2
}

lines_for_zsh() {
    cat <<LINES
if [ -x $(quote "$program") ]; then
    case ":\$PATH:" in *:$(quote "$bin_dir"):*) ;; *) export PATH="\$PATH":$(quote "$bin_dir") ;; esac
    eval "\$($(quote "$program") init zsh)"
fi
LINES
}

# Read by sh too where it stands in ~/.profile, and by scp, which wants no widget.
lines_for_bash() {
    cat <<LINES
if [ -n "\${BASH_VERSION-}" ] && [ -x $(quote "$program") ]; then
    case ":\$PATH:" in *:$(quote "$bin_dir"):*) ;; *) export PATH="\$PATH":$(quote "$bin_dir") ;; esac
    case \$- in *i*) eval "\$($(quote "$program") init bash)" ;; esac
fi
LINES
}

lines_for_fish() {
    cat <<LINES
if test -x $(quote_fish "$program")
    contains -- $(quote_fish "$bin_dir") \$PATH; or set -gx PATH \$PATH $(quote_fish "$bin_dir")
    status is-interactive; and $(quote_fish "$program") init fish | source
end
LINES
}

# --- the marked block

# Sets block to none, damaged or found; where found, first and last are its lines' numbers.
find_block() {
    block=none first=0 last=0
    [ -f "$1" ] && [ -r "$1" ] || return 0
    # shellcheck disable=SC2046 # three words
    set -- $(LC_ALL=C awk -v begin="$BEGIN_MARK" -v end="$END_MARK" '
        { sub(/\r$/, "") }
        $0 == begin { begins++; first = NR; last = 0 }
        $0 == end && first && !last { last = NR }
        END { print (!begins ? "none" : begins > 1 || !last ? "damaged" : "found"), first + 0, last + 0 }' "$1")
    block=$1 first=$2 last=$3
}

# head and tail keep a last line without newline, carriage returns and odd bytes as they are; awk and sed may not.
text_before() { [ "$first" -lt 2 ] || head -n "$((first - 1))" -- "$1"; }
text_after() { tail -n "+$((last + 1))" -- "$1"; }
block_says() { sed -n "${first},${last}p" "$1" | grep -qxF -- "$2"; }
lacks_newline() { [ -n "$(tail -c 1 -- "$1")" ]; }

# Prints FILE's text with SHELL's block in its place, or at the end.
new_text() {
    find_block "$2"
    if [ "$block" = found ]; then
        text_before "$2" || return 1
        for note in "$NOTE_MADE" "$NOTE_NO_NEWLINE"; do block_says "$2" "$note" && break; note=''; done
        print_block "$1" "$note"
        text_after "$2"
    elif [ ! -e "$2" ]; then
        print_block "$1" "$NOTE_MADE"
    elif lacks_newline "$2"; then
        { cat -- "$2" && echo; } || return 1
        print_block "$1" "$NOTE_NO_NEWLINE"
    else
        cat -- "$2" || return 1
        print_block "$1" ''
    fi
}

print_block() {
    printf '%s\n' "$BEGIN_MARK" "# Written by cmdai's install.sh, which takes it out again with --uninstall." ${2:+"$2"}
    "lines_for_$1"
    printf '%s\n' "$END_MARK"
}

set_block() {
    new_text "$1" "$2" >"$work/text" || fail "could not read $2"
    make_directory "$(dirname -- "$2")"
    [ "$block" = found ] || [ ! -e "$2" ] || back_up "$2"
    remember rc "$2"
    if write_through "$work/text" "$2"; then say "Added cmdai to $2"; else manual_step "$1" "$2"; fi
}

# Writes into the file itself, so that links, owner and mode stay; on a full disk the old text goes back.
write_through() {
    rm -f -- "$work/old"
    [ ! -e "$2" ] || cp -- "$2" "$work/old" || fail "could not save $2 before changing it"
    { cat -- "$1" >"$2"; } 2>/dev/null && cmp -s -- "$1" "$2" && return 0
    if [ -e "$work/old" ]; then { cat -- "$work/old" >"$2"; } 2>/dev/null; else rm -f -- "$2"; fi
    problem "could not write $2"
    return 1
}

# --- the way back

uninstall() {
    open_work
    { remembered rc; rc_files | cut -d ' ' -f 2-; } | awk '!seen[$0]++' >"$work/files"
    while IFS= read -r file; do
        remove_block "$file"
    done <"$work/files"
    remove_program
    remove_build
    remove_cache
    remove_models
    [ "$problems" = 0 ] || exit 1
    remove_record
    say 'cmdai is uninstalled. Shells that are open keep it until they end.'
}

remove_block() {
    find_block "$1"
    [ "$block" != none ] || return 0
    ! cannot_change "$1" || return 0
    { text_before "$1" && text_after "$1"; } >"$work/text" || fail "could not copy $1"
    if block_says "$1" "$NOTE_NO_NEWLINE" && [ -z "$(text_after "$1")" ]; then
        head -c "$(($(wc -c <"$work/text") - 1))" -- "$work/text" >"$work/shorter" && mv -- "$work/shorter" "$work/text"
    fi
    if block_says "$1" "$NOTE_MADE" && [ ! -s "$work/text" ]; then
        rm -f -- "$1" || problem "could not delete $1"
    else
        write_through "$work/text" "$1" || return 0
    fi
    say "Took cmdai out of $1"
    drop_backup "$1"
}

# A backup that equals the file has served; one that differs holds what the user has changed since.
drop_backup() {
    saved=$(backup_of "$1")
    [ -e "$saved" ] || return 0
    if cmp -s -- "$saved" "$1"; then
        rm -f -- "$saved"
    else
        say "Kept $saved: $1 as it was before cmdai; you have changed it since"
    fi
}

remove_program() {
    { remembered program; remembered library; } >"$work/programs"
    while IFS= read -r file; do
        # The server that it may have left behind, and only where it is one.
        [ "$file" != "$program" ] || [ ! -x "$file" ] || "$file" server stop >/dev/null 2>&1 || :
        rm -f -- "$file" || problem "could not delete $file"
        saved=$(backup_of "$file")
        [ ! -e "$saved" ] || mv -- "$saved" "$file" || problem "could not put $saved back to $file"
    done <"$work/programs"
    [ -s "$work/programs" ] || [ ! -e "$program" ] ||
        say "Kept $program: there is no record in $state_dir that this script put it there"
}

# Only directories that cargo has marked as its own.
remove_build() {
    remembered build >"$work/builds"
    while IFS= read -r directory; do
        [ ! -e "$directory/CACHEDIR.TAG" ] || rm -rf -- "$directory" || problem "could not delete $directory"
    done <"$work/builds"
}

# What engines made of the models, and would make again, and where the server is found.
remove_cache() {
    for folder in mlx prefix run; do
        [ ! -d "$cache_dir/$folder" ] || rm -rf -- "${cache_dir:?}/$folder" || problem "could not delete $cache_dir/$folder"
    done
    # Of a cache that has nothing else; with a build in it the record knows the directory.
    rmdir -- "$cache_dir" 2>/dev/null || :
}

remove_models() {
    kept_models=no
    [ -z "${CMDAI_MODELS_DIR:-}" ] || say "Kept the models in $CMDAI_MODELS_DIR"
    [ -n "$(ls -A -- "$data_dir/models" 2>/dev/null)" ] || return 0
    if [ "$purge" = yes ] || ask "Delete the models in $data_dir/models?" no; then
        rm -rf -- "$data_dir/models" || problem "could not delete $data_dir/models"
    else
        kept_models=yes
        say "Kept the models in $data_dir/models; --uninstall --purge deletes them"
    fi
}

# Longest paths first, so that a directory comes after what lies in it.
remove_record() {
    remembered directory | awk '{ print length($0), $0 }' | sort -rn | cut -d ' ' -f 2- >"$work/directories"
    # Models that stay keep the directories above them, for the --uninstall --purge that may follow.
    [ "$kept_models" = no ] || sed 's/^/directory /' "$work/directories" >"$work/record"
    if [ -s "$work/record" ]; then write_through "$work/record" "$record"; else rm -f -- "$record"; fi
    while IFS= read -r directory; do
        rmdir -- "$directory" 2>/dev/null || :
    done <"$work/directories"
}

first_steps() {
    case ":$PATH:" in
    *:"$bin_dir":*) ;;
    *) say "$bin_dir is not on your PATH; the lines in your shell's start-up file add it" ;;
    esac
    cat >&2 <<STEPS

Open a new shell, type plain words and press Ctrl-G:

    find files larger than 10 MB

or, without the key:

    cmdai find files larger than 10 MB
STEPS
}

main "$@"; }
