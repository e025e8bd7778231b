#!/usr/bin/env bash
# Puts images of one architecture each into what is shipped. The same images give the same bytes.
set -euo pipefail
export LC_ALL=C

usage() {
  cat <<'TEXT'
usage: assemble.sh --version VERSION --epoch SECONDS --out DIR LAYOUT...

Each LAYOUT is what build.sh made. Writes
  DIR/oci                          an OCI layout; VERSION in it is the image, or an index of several architectures
  DIR/railhead-VERSION-ARCH.tar    the same of each architecture, for `ctr images import`
TEXT
}
wrong_usage() {
  echo "image: $1" >&2
  usage >&2
  exit 2
}
version='' epoch='' out='' layouts=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --version | --epoch | --out)
      [ $# -ge 2 ] && [ -n "$2" ] || wrong_usage "$1 needs a value"
      printf -v "${1#--}" %s "$2"
      shift ;;
    -*) wrong_usage "unknown argument '$1'" ;;
    *) [ -f "$1/oci-layout" ] || wrong_usage "'$1' is no OCI layout"; layouts+=("$1") ;;
  esac
  shift
done
for name in version epoch out; do [ -n "${!name}" ] || wrong_usage "--$name is missing"; done
[ ${#layouts[@]} -gt 0 ] || wrong_usage "no LAYOUT is named"

mkdir -p "$out"
rm -rf "$out/oci" "$out/railhead-$version"-*.tar
mkdir -p "$out/oci/blobs/sha256"
cp "${layouts[0]}/oci-layout" "$out/oci/"
for layout in "${layouts[@]}"; do
  cp "$layout"/blobs/sha256/* "$out/oci/blobs/sha256/"
  arch=$(jq -r '.manifests[0].platform.architecture' "$layout/index.json")
  tar --create --file "$out/railhead-$version-$arch.tar" --directory "$layout" --format=ustar --sort=name --owner=0 \
    --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime="@$epoch" oci-layout index.json blobs
done
if [ ${#layouts[@]} = 1 ]; then
  cp "${layouts[0]}/index.json" "$out/oci/"
else
  type=application/vnd.oci.image.index.v1+json
  for layout in "${layouts[@]}"; do cat "$layout/index.json"; done |
    jq -c -s --arg type $type '{schemaVersion: 2, mediaType: $type,
        manifests: map(.manifests[0] | del(.annotations)) | sort_by(.platform.architecture)}' >"$out/oci/index.json"
  digest=$(sha256sum <"$out/oci/index.json" | cut -d ' ' -f 1)
  jq -c -n --arg type $type --arg digest "sha256:$digest" --argjson size "$(stat -c %s "$out/oci/index.json")" \
    --argjson names "$(jq -c '.manifests[0].annotations' "${layouts[0]}/index.json")" \
    '{schemaVersion: 2, manifests: [{mediaType: $type, digest: $digest, size: $size, annotations: $names}]}' \
    >"$out/oci/top.json"
  mv "$out/oci/index.json" "$out/oci/blobs/sha256/$digest"
  mv "$out/oci/top.json" "$out/oci/index.json"
fi
