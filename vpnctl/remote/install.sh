# Installing what a node needs: packages, repositories of packages, programs in archives. `say`, `$state`, `$no_source` and
# `$no_package` are node.sh's.

# Servers update themselves at first boot, so apt may be in use: that is waited for, up to five minutes. Its own
# waiting does not cover the lock of the lists. Lists that cannot be fetched matter only if the packages are not there.
install_packages() {
  local end=$((SECONDS + 300))
  patiently update || [ $SECONDS -lt $end ] || return 1
  case "$* " in *"-dkms "*) set -- "$@" $(kernel_headers) ;; esac
  patiently -y --no-install-recommends install "$@"
}

# Runs apt-get until it is not in use by others any more, or the time is over; says why it failed. Its language is C here.
patiently() {
  local said
  until said=$(set -o pipefail; apt-get -qq "$@" 2>&1 </dev/null | at_most); do
    case $said in
      *"Could not get lock"* | *"Unable to lock"* | *"Unable to acquire"*) ;;
      *"Unable to locate package"*) echo "$said"; return "$no_package" ;;
      *) echo "$said"; return 1 ;;
    esac
    [ $SECONDS -lt $end ] || { echo "$said"; return 1; }
    say wait apt >&3
    sleep 1
  done
}

# Whether the sources that the server has bring a package.
offered() { apt-cache policy "$1" | grep -q '^  Candidate: [^(]'; }

# A module that is built on the server needs the headers of the kernel that runs, and those of each later kernel.
kernel_headers() {
  local each release kind
  release=$(uname -r)
  kind=${release#*-}
  for each in "linux-headers-$release" "linux-headers-${kind##+([0-9])-}"; do ! offered "$each" || echo "$each"; done
}

# A repository of packages, where the server's own sources lack them. Arguments: its name, its URL, "FINGERPRINT ADDRESS ORIGIN":
# the key that signs it, where that is fetched, what it calls itself; "CODENAME=SUITE ..." for Debian (an Ubuntu has its own
# name there); the packages that are missing, a tab, and all that may come from it. What else it brings comes after what any
# other source has.
add_repository() {
  local name=$1 url=$2 print from origin suite= each ID= VERSION_CODENAME= end=$((SECONDS + 300)) said= work lacks=
  local key=/etc/apt/keyrings/vpnctl-$name.asc list=/etc/apt/sources.list.d/vpnctl-$name.sources pin=/etc/apt/preferences.d/vpnctl-$name
  read -r print from origin <<<"$3"
  patiently update >/dev/null
  for each in ${5%%"$tab"*}; do offered "$each" || lacks=$each; done
  [ -n "$lacks" ] || return 0
  . /etc/os-release
  for each in $4; do [ "${each%%=*}" != "$VERSION_CODENAME" ] || suite=${each#*=}; done
  [ "$ID" != ubuntu ] || suite=$VERSION_CODENAME
  [ -n "$suite" ] || { echo "$url has nothing for $ID $VERSION_CODENAME"; return "$no_source"; }
  command -v curl >/dev/null && command -v gpg >/dev/null && command -v update-ca-certificates >/dev/null ||
    patiently -y --no-install-recommends install curl gpg ca-certificates || return 1
  work=$(mktemp -d) || return 1
  trap 'rm -rf "$work"' RETURN
  download "$work/key" "$from" || return
  grep -q 'BEGIN PGP PUBLIC KEY BLOCK' "$work/key" && [ "$(prints_of "$work")" = "$print" ] || { echo "what came from $from is not the key that signs $url"; return "$no_source"; }
  install -d -m 755 /etc/apt/keyrings && install -m 644 "$work/key" "$key" || return 1
  printf '%s\n' "Types: deb" "URIs: $url" "Suites: $suite" "Components: main" "Signed-By: $key" >"$work/list"
  printf '%s\n' "Package: ${5#*"$tab"}" "Pin: release o=$origin" "Pin-Priority: 500" '' "Package: *" "Pin: release o=$origin" "Pin-Priority: 1" >"$work/pin"
  install -m 644 "$work/pin" "$pin" && install -m 644 "$work/list" "$list" || return 1
  said=$(patiently update)
  offered "$lacks" && said= || said="$url does not bring $lacks for $suite${said:+: $said}"
  [ -n "$said" ] || apt-get indextargets --format '$(SOURCESENTRY) $(ORIGIN)' | grep -qxF "$list:1 $origin" ||
    said="$url does not call itself $origin in its Release file, so what else it brings could replace the system's packages"
  [ -z "$said" ] || { rm -f "$list" "$pin" "$key"; echo "$said"; return "$no_source"; }
}

# Arguments: file, URL. Each attempt says the same when it fails: the last one tells.
download() {
  local said
  said=$(curl -fsSL --retry 2 --max-time 100 -o "$1" "$2" 2>&1) && return
  echo "$2 could not be fetched: ${said##*$'\n'}"
  return "$no_source"
}

# The fingerprints of all keys in a file: whatever else is in it would be trusted too.
prints_of() {
  gpg --batch -q --homedir "$1" --with-colons --show-keys "$1/key" 2>/dev/null |
    awk -F: '$1 == "pub" { p = 1 } $1 == "fpr" && p { print $10; p = 0 }'
}

# A program in a zip archive, for this machine; arguments: its name, then "MACHINE SHA256 URL" each.
fetch_program() {
  local name=$1 machine sum url work=/usr/local/bin/.$1.$$.$nonce end=$((SECONDS + 300))
  shift
  while read -r machine sum url; do [ "$machine" = "$(uname -m)" ] && break; done < <(printf '%s\n' "$@")
  trap 'rm -rf "$work"' RETURN
  [ -n "$machine" ] || { echo "there is no build of $name for $(uname -m)"; return 1; }
  command -v curl >/dev/null && command -v unzip >/dev/null || install_packages curl unzip || return 1
  mkdir -p "$work" /usr/local/bin
  download "$work/$name.zip" "$url" || return
  [ "$(sha256sum <"$work/$name.zip")" = "$sum  -" ] || { echo "what came from $url is not what was expected: its checksum differs"; return "$no_source"; }
  unzip -p "$work/$name.zip" "$name" >"$work/$name" && chmod 755 "$work/$name" && sync "$work/$name" || return 1
  # The note comes after the program: with the note of a newer one, an older program would pass for it.
  mkdir -p "$state" && mv -T "$work/$name" "/usr/local/bin/$name" && sync /usr/local/bin &&
    echo "$sum" >"$state/$name.archive.new" && sync "$state/$name.archive.new" && mv -T "$state/$name.archive.new" "$state/$name.archive"
}
