# Reads packages of the machine's own mirrors without touching the system: apt runs with folders of its own, as any
# user, and installs nothing. Sourced by the scripts that need a kernel, a container runtime or another architecture's
# libraries. Such a script sets `program`, its name in messages, and has a function `usage`.

# lacks WHAT REMEDY: one clear line; 4 = the environment lacks something.
lacks() {
  echo "$program: $1 (remedy: $2)" >&2
  exit 4
}

wrong_usage() {
  echo "$program: $1" >&2
  usage >&2
  exit 2
}

# read_options PLACE [OPTION=VARIABLE]... -- ARGUMENT...: what these scripts are told. Sets sources_root, os_release,
# refresh (0 or 1), the VARIABLE of each option of the script's own, and `folder`, the one argument that is no option;
# PLACE is what the usage calls it.
read_options() {
  local place=$1 option
  local -A own=([--sources]=sources_root [--os-release]=os_release)
  shift
  while [ "$1" != -- ]; do
    own[${1%%=*}]=${1#*=}
    shift
  done
  shift
  sources_root=/etc/apt os_release=/etc/os-release refresh=0 folder=
  while [ $# -gt 0 ]; do
    option=$1
    case $option in
      --refresh) refresh=1 ;;
      -h | --help) usage; exit 0 ;;
      -*)
        [ -n "${own[$option]:-}" ] || wrong_usage "unknown option '$option'"
        [ -n "${2:-}" ] || wrong_usage "$option needs a value"
        printf -v "${own[$option]}" %s "$2"
        shift ;;
      *) [ -z "$folder" ] || wrong_usage "one $place only, '$option' is a second"; folder=$option ;;
    esac
    shift
  done
  [ -n "$folder" ] || wrong_usage "$place is missing"
}

need_programs() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || lacks "the program '$tool' is missing" \
      "install it; this script needs a Debian or Ubuntu machine"
  done
}

# hold_folder: makes `folder`, names it in full and keeps other runs out of it until this one ends.
hold_folder() {
  mkdir -p "$folder" || lacks "cannot create '$folder'" "name a folder that you may write"
  folder=$(cd "$folder" && pwd)
  exec 9>"$folder/.lock"
  flock -w 900 9 || lacks "another run holds $folder/.lock for 15 minutes" "end it and try again"
}

# read_sources APT_FOLDER: "URI<TAB>suite<TAB>trusted<TAB>signed-by" for each binary source that has 'main'.
read_sources() {
  local file
  for file in "$1"/sources.list.d/*.sources; do
    [ -r "$file" ] || continue
    awk '
      function flush(  u, s, nu, ns, i, j) {
        if (enabled && types ~ /(^| )deb( |$)/ && components ~ /(^| )main( |$)/) {
          nu = split(uris, u, " "); ns = split(suites, s, " ")
          for (i = 1; i <= nu; i++) for (j = 1; j <= ns; j++) print u[i] "\t" s[j] "\t" trusted "\t" signed
        }
        types = uris = suites = components = signed = trusted = key = ""; enabled = 1
      }
      BEGIN { enabled = 1 }
      /^[ \t]*$/ { flush(); next }
      /^#/ { next }
      /^[ \t]/ { if (key == "signed-by") signed = signed "\\n" $0; next }
      {
        key = tolower($0); sub(/:.*/, "", key)
        value = $0; sub(/^[^:]*:[ \t]*/, "", value)
        if (key == "types") types = value
        else if (key == "uris") uris = value
        else if (key == "suites") suites = value
        else if (key == "components") components = value
        else if (key == "signed-by") signed = value
        else if (key == "trusted") trusted = value
        else if (key == "enabled" && tolower(value) ~ /^(no|false|0|off)/) enabled = 0
      }
      END { flush() }' "$file"
  done
  for file in "$1"/sources.list "$1"/sources.list.d/*.list; do
    [ -r "$file" ] || continue
    sed -n -E 's/#.*//; s/^[ \t]*deb[ \t]+//p' "$file" | awk '
      {
        signed = trusted = ""
        if ($1 ~ /^\[/) {
          while ($0 != "") {
            word = $1; last = word ~ /\]$/
            gsub(/[][]/, "", word)
            if (word ~ /^signed-by=/) { signed = word; sub(/^signed-by=/, "", signed) }
            if (word ~ /^trusted=/) { trusted = word; sub(/^trusted=/, "", trusted) }
            $1 = ""; sub(/^[ \t]+/, "")
            if (last) break
          }
        }
        for (i = 3; i <= NF; i++) if ($i == "main") print $1 "\t" $2 "\t" trusted "\t" signed
      }'
  done
}

# read_distribution OS_RELEASE: sets distribution (debian or ubuntu) and codename.
read_distribution() {
  local file=$1
  os_field() { sed -n -E "s/^$1=\"?([^\"]*)\"?$/\1/p" "$file" 2>/dev/null | head -1; }
  distribution=$(os_field ID)
  codename=$(os_field VERSION_CODENAME)
  case $distribution in
    debian | ubuntu) ;;
    *) case " $(os_field ID_LIKE) " in
         *" ubuntu "*) distribution=ubuntu; codename=$(os_field UBUNTU_CODENAME) ;;
         *) distribution=debian ;;
       esac ;;
  esac
}

# choose_mirror: sets `mirror`, a line as of read_sources, and mirror_uri: the mirror that serves the system's own base
# suite; failing that, the first with 'main'.
choose_mirror() {
  local sources
  sources=$(read_sources "$sources_root" | awk -F '\t' '$2 !~ /-security/')
  mirror=$(awk -F '\t' -v suite="$codename" '$2 == suite { print; exit }' <<<"$sources")
  [ -n "$mirror" ] || mirror=${sources%%$'\n'*}
  [ -n "$mirror" ] || lacks "no package mirror with component 'main' in $sources_root" \
    "add the distribution's own mirror to $sources_root/sources.list.d"
  mirror_uri=$(cut -f 1 <<<"$mirror")
}

# private_apt FOLDER ARCHITECTURE: from here on apt reads the sources on standard input (lines as of read_sources,
# where 'suite' may be several words), keeps everything below FOLDER and knows no installed package.
private_apt() {
  local folder=$1 architecture=$2 line
  rm -rf "$folder"
  mkdir -p "$folder/none" "$folder/lists/partial" "$folder/cache/archives/partial" "$folder/deb"
  : >"$folder/status"
  # Cut by hand: `read` would take two tabs in a row, an empty field, for one.
  while IFS= read -r line; do
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n' "$(cut -f 1 <<<"$line")" "$(cut -f 2 <<<"$line")"
    [ -z "$(cut -f 3 <<<"$line")" ] || printf 'Trusted: %s\n' "$(cut -f 3 <<<"$line")"
    [ -z "$(cut -f 4 <<<"$line")" ] || printf 'Signed-By: %b\n' "$(cut -f 4 <<<"$line")"
    echo
  done >"$folder/mirror.sources"
  # Of the system's apt settings only those for fetching count (proxies, certificates): its hooks and
  # its extra indexes are for the system.
  {
    apt-config dump 2>/dev/null | grep -E '^Acquire::' | grep -v -E '^Acquire::(IndexTargets|Languages)' || true
    cat <<TEXT
Acquire::Languages "none";
Acquire::Retries "3";
APT::Architecture "$architecture";
APT::Architectures { "$architecture"; };
APT::Sandbox::User "$(id -un)";
Dir::Etc::parts "$folder/none";
Dir::Etc::main "$folder/none/apt.conf";
Dir::Etc::sourcelist "$folder/mirror.sources";
Dir::Etc::sourceparts "-";
Dir::Etc::preferences "$folder/none/preferences";
Dir::Etc::preferencesparts "$folder/none";
Dir::State "$folder";
Dir::State::lists "$folder/lists";
Dir::State::status "$folder/status";
Dir::Cache "$folder/cache";
Dir::Log "$folder";
TEXT
  } >"$folder/apt.conf"
  export APT_CONFIG=$folder/apt.conf
}
