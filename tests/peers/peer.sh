# Sourced by tests/peers/PEER/fetch: the part that is the same for all peers. Before it is sourced the script sets
#   version     the one place where this peer's version is pinned
#   provides    path of what a test runs or reads, below the peer's folder in the cache
# and after it calls `peer_get FUNCTION`. FUNCTION is called with an empty folder to fill; what it filled becomes visible
# under its final name only when the path is there, so a broken-off run is simply run again.
#
#   fetch             fetches what is missing and prints the path
#   fetch --check     prints the path if it is there, else fails; asks no network
#   fetch --version   prints the pinned version
set -euo pipefail
peer_folder=$(dirname "$(readlink -f "$0")")
peer=$(basename "$peer_folder")
peer_cache=${XDG_CACHE_HOME:-$HOME/.cache}/ownhouse/peers/$peer

peer_die() {
    echo "$peer: $*" >&2
    exit 1
}

peer_need() { # COMMAND PACKAGE
    command -v "$1" >/dev/null || peer_die "$1 is not installed (Debian: apt install $2)"
}

# A virtual environment of Debian's Python with the named packages. Its scripts hold absolute paths, so it is made under
# its final name; peer_get gives that folder.
peer_venv() { # FOLDER REQUIREMENT...
    local folder=$1
    shift
    /usr/bin/python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check --no-input --retries 4 "$@" >&2
}

peer_get() {
    local fill=$1 final=$peer_cache/$version
    case ${peer_arguments[0]-} in
    --version)
        echo "$version"
        return
        ;;
    --check)
        [ -e "$final/.whole" ] && [ -e "$final/$provides" ] || peer_die "version $version is not there; run tests/peers/fetch $peer"
        echo "$final/$provides"
        return
        ;;
    '') ;;
    *) peer_die "unknown option ${peer_arguments[0]}; --check and --version are known" ;;
    esac
    mkdir -p "$peer_cache"
    exec 9>"$peer_cache/.lock"
    flock 9
    if [ ! -e "$final/.whole" ] || [ ! -e "$final/$provides" ]; then
        rm -rf "$final"
        mkdir "$final"
        "$fill" "$final" || peer_die "version $version could not be fetched"
        [ -e "$final/$provides" ] || peer_die "what was fetched has no $provides"
        : >"$final/.whole"
    fi
    echo "$final/$provides"
}
peer_arguments=("$@")
