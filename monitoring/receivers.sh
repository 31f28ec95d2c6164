#!/bin/sh
# Composes Alertmanager's configuration from alertmanager.yml and the receivers whose files are in a folder of secrets.
#
#   receivers.sh [FOLDER [FILE]]      FOLDER: ./secrets beside this script; FILE: FOLDER/alertmanager.yml
#
# Each part in receivers/ names, as @NAME@, the files of the folder whose content it takes. A part none of whose files are
# there is left out; if no part is left, the result is alertmanager.yml as it is. The values are written into the result,
# because Alertmanager 0.25, which Debian has, reads neither a webhook's address nor a Telegram token from a file.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/secrets}
out=${2:-$folder/alertmanager.yml}

fail() {
    echo "error: $1" >&2
    exit 1
}

[ -d "$folder" ] || fail "$folder: no such folder; make it and put a file for each receiver into it ($here/secrets/README.md)"
# The result holds secrets and must be readable to the user of Alertmanager's container, so the folder protects it.
chmod 700 "$folder"

names_in() {
    grep -v '^ *#' "$@" | grep -oh '@[a-z-]*@' | tr -d @ | sort -u
}

known=$(names_in "$here"/receivers/*/*.yml)
for file in "$folder"/*; do
    name=${file##*/}
    case $name in README.md | alertmanager.yml | '*') continue ;; esac
    [ "$file" != "$out" ] || continue
    echo "$known" | grep -qxF -e "$name" || fail "$file: no receiver reads a file of this name; the names are $(echo $known)"
done

# Prints sed's command that replaces a name by the content of its file, for a place between single quotes.
substitution() {
    value=$(cat "$folder/$1")
    [ -n "$value" ] || fail "$folder/$1: is empty; write the value into it, or remove the file"
    case $value in *[[:cntrl:]]*) fail "$folder/$1: must be one line without control characters" ;; esac
    printf 's|@%s@|%s|g\n' "$1" "$(printf '%s' "$value" | sed -e "s/'/''/g" -e 's/[\\&|]/\\&/g')"
}

# Prints a part with its values, or nothing if it is not switched on.
part() {
    there='' missing=''
    for name in $(names_in "$1"); do
        if [ -e "$folder/$name" ]; then there="$there $name"; else missing="$missing $name"; fi
    done
    [ -n "$there" ] || return 0
    [ -z "$missing" ] || fail "$folder: has$there, but not$missing; $1 takes all of them"
    program=$(for name in $there; do substitution "$name" || exit 1; done)
    # By standard input, because every user can read a command line.
    printf '%s\n' "$program" | sed -f /dev/stdin -e '' "$1" | sed -e '/^ *#/d' -e 's/^/    /'
}

parts() {
    for file in "$@"; do part "$file" || exit 1; done
}

umask 077
all=$(parts "$here"/receivers/all/*.yml) || exit 1
critical=$(parts "$here"/receivers/critical/*.yml) || exit 1
composed=$(
    if [ -z "$all$critical" ]; then
        cat "$here/alertmanager.yml"
    else
        sed '/^receivers:/q' "$here/alertmanager.yml"
        printf '  - name: %s\n%s\n' team "$all" on-call "$all
$critical" | sed '/^$/d'
    fi
)
printf '%s\n' "$composed" >"$out.new"
if command -v amtool >/dev/null && ! problem=$(amtool check-config "$out.new" 2>&1); then
    rm "$out.new"
    fail "$folder: Alertmanager refuses the values in these files: $problem"
fi
chmod 644 "$out.new"
mv "$out.new" "$out"
kinds=$(sed -n 's/^ *\([a-z]*\)_configs:.*/\1/p' "$out" | sort -u | tr '\n' ' ')
echo "$out sends to: $kinds"
