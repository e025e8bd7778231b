# Makes the one container image that the lab's nodes run pods from. Sourced by build.sh.

# blob FILE FOLDER: moves FILE into the archive under its digest, which it prints.
blob() {
  local digest
  digest=$(sha256sum "$1" | cut -d ' ' -f 1)
  mv "$1" "$2/blobs/sha256/$digest"
  echo "$digest"
}

# pod_image PAUSE ARCHIVE WORK: an OCI archive with `/pause` and an empty root, into which a pod's
# programs are mounted from the node. It is the sandbox's image and the containers' as well. The same
# input gives the same bytes.
pod_image() {
  local pause=$1 archive=$2 work=$3 name=lab.railhead/node:1 root=$3/rootfs layer config manifest
  local tree=$work/oci
  mkdir -p "$root"/{usr,etc,dev,proc,sys,run,tmp,var} "$tree/blobs/sha256"
  cp "$pause" "$root/pause"
  chmod 755 "$root/pause"
  for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$root/$folder"; done
  ln -s ../run "$root/var/run"
  pack() {
    tar -C "$1" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=gnu -cf "$2" "${@:3}"
  }
  pack "$root" "$work/layer" .
  layer=$(blob "$work/layer" "$tree")
  printf '{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/pause"],"Env":["PATH=/usr/bin:/usr/sbin"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$layer" >"$work/config"
  config=$(blob "$work/config" "$tree")
  size() { stat -c %s "$tree/blobs/sha256/$1"; }
  printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%s}]}' \
    "$config" "$(size "$config")" "$layer" "$(size "$layer")" >"$work/manifest"
  manifest=$(blob "$work/manifest" "$tree")
  printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{"io.containerd.image.name":"%s","org.opencontainers.image.ref.name":"1"}}]}' \
    "$manifest" "$(size "$manifest")" "$name" >"$tree/index.json"
  printf '{"imageLayoutVersion":"1.0.0"}' >"$tree/oci-layout"
  mkdir -p "$(dirname "$archive")"
  pack "$tree" "$archive" oci-layout index.json blobs
}
