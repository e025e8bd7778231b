# The part of the image that our own programs do not change. Sourced by build.sh, which sets base,
# kernel, release, tools, busybox and the functions used here.

root=$base/root
early=$base/initramfs
mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root"/{dev,proc,sys,run,tmp,var,opt,root} "$root/etc/cni"
mkdir -p "$early"/{dev,proc,sys,newroot,modules}
for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$root/$folder"; done

# --- tools ---
while read -r program _; do
  file=$(command -v "${program#-}") || continue
  put_program "$file" "$root" /usr/bin || lacks "cannot take '$file'" "install the library it names"
done <<<"$tools"
put_program "$busybox" "$root" /usr/bin
# Applets fill the gaps. The shell is not one of them: busybox's prefers its own applets, its `ip`
# for one, to the real programs.
ln -s dash "$root/usr/bin/sh"
for name in $("$busybox" --list); do
  case $name in linuxrc | init | busybox | ash | poweroff | reboot | halt) continue ;; esac
  [ -e "$root/usr/bin/$name" ] || ln -s busybox "$root/usr/bin/$name"
done
for name in poweroff reboot halt; do ln -s busybox "$root/usr/bin/$name"; done
ln -s ../bin/busybox "$root/usr/sbin/modprobe" # where the kernel looks for it

# --- the container runtime and the reference CNI plugins ---
if [ -n "$runtime" ]; then
  for file in "$runtime"/bin/*; do
    put_program "$file" "$root" /usr/bin || lacks "cannot take '$file'" "install the library it names"
  done
  for file in "$runtime"/cni/*; do put_program "$file" "$root" /usr/lib/cni || lacks "cannot take '$file'" "install the library it names"; done
fi

# --- RDMA providers: loaded by dlopen, so ldd does not name them ---
for provider in rxe mlx5; do
  config=/etc/libibverbs.d/$provider.driver
  [ -r "$config" ] || continue
  for library in /usr/lib/*/libibverbs/lib"$provider"-rdmav*.so; do
    [ -e "$library" ] || continue
    put_file "$config" "$root" "$config"
    put_file "$library" "$root" "$library"
    put_libraries "$library" "$root"
  done
done
[ -e "$root/etc/libibverbs.d/rxe.driver" ] ||
  lacks "the soft-RoCE provider of libibverbs is missing" "apt-get install ibverbs-providers"

# --- /etc ---
cp -a "$here/etc/." "$root/etc/"
for name in hostname hosts resolv.conf machine-id; do ln -s "/run/$name" "$root/etc/$name"; done
ln -s /proc/self/mounts "$root/etc/mtab"

# --- kernel and modules ---
if plain_kernel "$kernel/vmlinuz" "$base/kernel"; then
  echo true >"$base/direct_start"
else
  cp "$kernel/vmlinuz" "$base/kernel"
  echo false >"$base/direct_start"
fi
modules=$root/usr/lib/modules/$release
mkdir -p "$modules"
: >"$early/modules/early.list"
: >"$modules/boot.list"
while read -r phase need name parameters; do
  case $phase in '' | '#'*) continue ;; esac
  if [ "$need" != need ]; then
    parameters="$name $parameters"
    name=$need
  fi
  if ! chain=$(module_chain "$kernel/modules" "$name"); then
    [ "$need" != need ] || lacks "Linux $release has no module '$name'" \
      "lab/image/fetch-kernel.sh --refresh $kernel_cache"
    continue
  fi
  for module in $chain; do
    path=${module%.ko*}.ko
    case $phase in
      early) tree=$early/modules ;;
      *) tree=$modules ;;
    esac
    put_module "$kernel/modules" "$module" "$tree"
    [ "$phase" != demand ] || continue
    list=$early/modules/early.list
    [ "$phase" = early ] || list=$modules/boot.list
    ! grep -qE "^$path( |$)" "$early/modules/early.list" "$modules/boot.list" || continue
    own=''
    case $path in */"$name".ko) own=$(echo $parameters) ;; esac
    echo "$path${own:+ $own}" >>"$list"
  done
done <"$here/modules.list"
cp "$kernel/modules"/modules.{builtin,order} "$modules/"
depmod -b "$root/usr" "$release" 2>/dev/null
rm -f "$modules"/modules.{symbols,symbols.bin}
