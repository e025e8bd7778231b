#!/usr/bin/env bash
# Builds Railhead's image of one architecture from nothing: our programs, the libraries they load, their licences.
# No base image, no registry, no root. The same programs give the same bytes.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/tree.sh"

usage() {
  cat <<'TEXT'
usage: build.sh --arch amd64|arm64 --build DIR --version VERSION --revision ID --epoch SECONDS --out DIR [--sysroot DIR]

Writes DIR as an OCI layout that holds the image as VERSION.
  --build DIR       the CMake build folder with railhead-agent, railhead and railhead-cni in bin, the tuner plugin in lib
  --epoch SECONDS   the date of every file and of the image
  --sysroot DIR     take the libraries below DIR instead of this machine's (cmake/toolchains/sysroot.sh makes one)

example: deploy/image/build.sh --arch amd64 --build build/release --version 0.1.0 --revision "$(git rev-parse HEAD)" \
           --epoch "$(git log -1 --format=%ct)" --out /tmp/layout
TEXT
}
lacks() {
  echo "image: $1 (remedy: $2)" >&2
  exit 4
}
wrong_usage() {
  echo "image: $1" >&2
  usage >&2
  exit 2
}

arch='' build='' version='' revision='' epoch='' out='' system=''
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --arch | --build | --version | --revision | --epoch | --out | --sysroot)
      [ $# -ge 2 ] && [ -n "$2" ] || wrong_usage "$1 needs a value"
      case $1 in --sysroot) system=$2 ;; *) printf -v "${1#--}" %s "$2" ;; esac
      shift ;;
    *) wrong_usage "unknown argument '$1'" ;;
  esac
  shift
done
for name in arch build version revision epoch out; do [ -n "${!name}" ] || wrong_usage "--$name is missing"; done
case $arch in
  amd64) triplet=x86_64-linux-gnu loader=/usr/lib64/ld-linux-x86-64.so.2 ;;
  arm64) triplet=aarch64-linux-gnu loader=/usr/lib/ld-linux-aarch64.so.1 ;;
  *) wrong_usage "--arch '$arch': expected amd64 or arm64" ;;
esac
[[ $epoch =~ ^[0-9]+$ ]] || wrong_usage "--epoch '$epoch': expected seconds since 1970"
[[ $version =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]*$ ]] || wrong_usage "--version '$version': expected a tag: letters, digits, '.', '_', '-'"
for name in railhead-agent railhead railhead-cni; do
  [ -x "$build/bin/$name" ] || wrong_usage "--build '$build': there is no bin/$name"
done
tuner=libnccl-tuner-railhead.so
[ -f "$build/lib/$tuner" ] || wrong_usage "--build '$build': there is no lib/$tuner"
build=$(cd "$build" && pwd)
[ -z "$system" ] || system=$(realpath "$system")
strip=$triplet-strip
while read -r tool package; do
  command -v "$tool" >/dev/null || lacks "the program '$tool' is missing" "apt-get install $package"
done <<TEXT
umoci umoci
jq jq
ninja ninja-build
readelf binutils
$strip binutils-${triplet//_/-}
TEXT

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
sources=()

# --- the tree ---
mkdir -p "$root/etc" "$root/usr/lib" "$root$(dirname "$loader")"
ln -s usr/lib "$root/lib"
mkdir -p "$root/var"
ln -s ../run "$root/var/run"  # runtimes name namespaces and CDI files below either
mkdir -p "$root/run"
[ "$(dirname "$loader")" = /usr/lib ] || ln -s "${loader:1:9}" "$root/lib64"
echo 'root:x:0:0:root:/:/usr/bin/false' >"$root/etc/passwd"
put_program "$build/bin/railhead-agent" /usr/bin
put_program "$build/bin/railhead" /usr/bin
put_program "$build/bin/railhead-cni" /usr/lib/railhead
put_program "$build/lib/$tuner" /usr/lib/railhead  # goes into pods, and is loaded there
put_loaded

# --- the licences: of the libraries above, and of the archives and headers that the programs are made from ---
"$here/inputs.sh" "$build" railhead-agent railhead railhead-cni nccl-tuner-railhead >"$work/inputs"
printf '%s\n' "${sources[@]}" >>"$work/inputs"
sort -u "$work/inputs" >"$work/all"
{
  # A cross compiler's own headers and start files are this machine's.
  if [ -n "$system" ]; then
    { grep "^$system/" "$work/all" || true; } | packages_of "$system"
    { grep -v "^$system/" "$work/all" || true; } | packages_of ""
  else
    packages_of "" <"$work/all"
  fi
} 2>"$work/unknown" >"$work/packages"
[ ! -s "$work/unknown" ] || lacks "no licence is known: $(head -1 "$work/unknown")" "install its Debian package instead"
put_licences <"$work/packages"
install -D -m 644 "$here/../../LICENSE" "$root/usr/share/doc/railhead/copyright"

# --- the layer ---
chmod -R u=rwX,go=rX "$root"
tar --create --file "$work/layer.tar" --directory "$root" --format=ustar --sort=name --owner=0 --group=0 \
  --numeric-owner --mtime="@$epoch" .

# --- the image ---
created=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)
image=$work/layout:$version
umoci init --layout "$work/layout"
umoci new --image "$image"
umoci raw add-layer --image "$image" --history.created "$created" --history.created_by "./dev image" \
  --history.author railhead "$work/layer.tar"
umoci config --image "$image" --no-history --created "$created" --os linux --architecture "$arch" \
  --config.entrypoint /usr/bin/railhead-agent \
  --config.label org.opencontainers.image.title=railhead \
  --config.label "org.opencontainers.image.version=$version" \
  --config.label "org.opencontainers.image.revision=$revision" \
  --config.label org.opencontainers.image.licenses=Apache-2.0
umoci gc --layout "$work/layout"
# The platform and the names under which `ctr images import` and kubelet know it.
jq -c --arg arch "$arch" --arg version "$version" '.manifests[0] += {
    platform: {architecture: $arch, os: "linux"},
    annotations: {"io.containerd.image.name": ("docker.io/library/railhead:" + $version),
                  "org.opencontainers.image.ref.name": $version}}' "$work/layout/index.json" >"$work/index.json"
mv "$work/index.json" "$work/layout/index.json"
mkdir -p "$(dirname "$out")"
rm -rf "$out"
cp -r "$work/layout" "$out"
chmod -R u=rwX,go=rX "$out"
