#!/usr/bin/env bash
# Makes the tarball and the Debian package from programs that are built.
#
#     assemble.sh PROGRAMS OUT          PROGRAMS is a folder such as target/release; OUT receives the results
#
# Everything is given the time SOURCE_DATE_EPOCH, by default that of the commit, so that the same programs give the same bytes.
# dpkg-deb is called directly: one package holds the programs of four crates and is made from the same tree as the tarball.
set -euo pipefail
[ $# = 2 ] || { sed -n '2,7p' "$0"; exit 2; }
root=$(cd "$(dirname "$0")/../.." && pwd)
programs=$(cd "$1" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)
cd "$root"
umask 022
export LC_ALL=C TZ=UTC
all=(inference loadgen driftsim driftbench)
version=$("$programs/inference" -V | cut -d ' ' -f 2)
target=$("$programs/inference" --version | sed -n 's/^target: //p')
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.lock)}
export SOURCE_DATE_EPOCH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The tree below the prefix: /usr/local for the tarball, /usr for the package.
name=model-vitals-$version-$target
tree=$work/$name
share=$tree/share
documents=$share/doc/model-vitals
install -d "$tree"/{bin,lib/systemd/system} "$share"/{man/man1,bash-completion/completions,zsh/site-functions,fish/vendor_completions.d} \
    "$share"/model-vitals/{scenarios,rules,dashboards} "$documents"/{docs,monitoring}
for program in "${all[@]}"; do
    install -m 755 "$programs/$program" "$tree/bin/"
    case $program in
    # It has flags only, no commands.
    driftbench) completions=(--completions) pages=(--man-pages) ;;
    *) completions=(completions) pages=(man-pages) ;;
    esac
    "$programs/$program" "${pages[@]}" "$share/man/man1"
    "$programs/$program" "${completions[@]}" bash >"$share/bash-completion/completions/$program"
    "$programs/$program" "${completions[@]}" zsh >"$share/zsh/site-functions/_$program"
    "$programs/$program" "${completions[@]}" fish >"$share/fish/vendor_completions.d/$program.fish"
done
gzip -9n "$share"/man/man1/*.1
install -m 644 deploy/package/model-vitals.service "$tree/lib/systemd/system/"
install -m 644 deploy/package/inference.env monitoring/prometheus.yml monitoring/alertmanager.yml "$share/model-vitals/"
install -m 644 scenarios/*.yaml scenarios/schema.json "$share/model-vitals/scenarios/"
install -m 644 monitoring/rules/*.yml "$share/model-vitals/rules/"
install -m 644 grafana/dashboards/*.json "$share/model-vitals/dashboards/"
install -m 644 README.md CHANGELOG.md SECURITY.md LICENSE-MIT LICENSE-APACHE "$documents/"
install -m 644 docs/*.md "$documents/docs/"
install -m 644 monitoring/runbook.md "$documents/monitoring/"
python3 deploy/package/inventory.py "$target" "$documents"

archive() { # folder, name in it, file
    tar --create --directory "$1" --sort=name --format=gnu --owner=0 --group=0 --numeric-owner \
        --mtime="@$SOURCE_DATE_EPOCH" "$2" | gzip -n >"$3"
}
archive "$work" "$name" "$out/$name.tar.gz"

# What Debian has elsewhere.
package=$work/package
mkdir -p "$package/DEBIAN" "$package/etc/model-vitals"
cp -r "$tree" "$package/usr"
mv "$package/usr/share/zsh/site-functions" "$package/usr/share/zsh/vendor-completions"
mv "$package/usr/share/model-vitals/inference.env" "$package/etc/model-vitals/"
documents=$package/usr/share/doc/model-vitals
# Debian has this text in /usr/share/common-licenses.
rm "$documents/LICENSE-APACHE"
mv "$documents/CHANGELOG.md" "$documents/changelog"
gzip -9n "$documents/changelog" "$documents/third-party-licenses.txt"
install -m 644 deploy/package/debian/copyright "$documents/"

# dpkg-shlibdeps reads a source package's debian/control, and finds out which version of libc the programs need.
mkdir -p "$work/source/debian"
printf 'Source: model-vitals\n\nPackage: model-vitals\nArchitecture: any\n' >"$work/source/debian/control"
depends=$(cd "$work/source" && dpkg-shlibdeps -O "${all[@]/#/-e$package/usr/bin/}" | sed -n 's/^shlibs:Depends=//p')
architecture=$(dpkg --print-architecture)
install -m 755 deploy/package/debian/{postinst,prerm,postrm} "$package/DEBIAN/"
echo /etc/model-vitals/inference.env >"$package/DEBIAN/conffiles"
(cd "$package" && find etc usr -type f -print0 | sort -z | xargs -0 md5sum) >"$package/DEBIAN/md5sums"
size=$(find "$package/etc" "$package/usr" -type f -printf '%s\n' | awk '{ kib += int(($1 + 1023) / 1024) } END { print kib }')
sed -e "s/@version@/$version/" -e "s/@architecture@/$architecture/" -e "s/@depends@/$depends/" -e "s/@size@/$size/" \
    deploy/package/debian/control >"$package/DEBIAN/control"
find "$package" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
deb=model-vitals_${version}_$architecture.deb
# With several threads, the compressed bytes could depend on their number.
dpkg-deb --root-owner-group -Zxz --threads-max=1 --build "$package" "$out/$deb" >/dev/null

cp "$tree/share/doc/model-vitals/sbom.cdx.json" "$out/$name.cdx.json"
(cd "$out" && sha256sum "$name.tar.gz" "$deb" "$name.cdx.json" | tee SHA256SUMS)
echo "The package depends on: $depends"
