# WireGuard's part of the node script. The core calls what begins with wg_; arguments: tool (wg, awg), interface, more.
# The key of a test that sends packets now, or was killed: it is nobody's peer.
wg_proof_key() { proof=none; [ ! -r "/run/vpnctl-proof-$1" ] || read -r proof <"/run/vpnctl-proof-$1"; }

# The identities that are live there, one a line.
wg_live() { wg_proof_key "$2"; "$1" show "$2" peers 2>/dev/null | grep -vxF "${proof:-none}"; }

wg_up() { [ -e "/sys/class/net/$2" ]; }

# The server key in a file of ours.
wg_key() { sed -n 's/^PrivateKey *= *//p' "$2" | "$1" pubkey 2>/dev/null; }

# The preshared keys of some peers, by key.
wg_shared() {
  "$1" show "$2" preshared-keys 2>/dev/null |
    awk -F'\t' -v name="$2" -v wanted=" $3 " 'index(wanted, " " $1 " ") && NF == 2 { print "shared\t" name "\t" $1 "\t" $2 }'
}

# Why it does not come up, where what was said tells it.
wg_why() {
  case $1 in
    *"Missing WireGuard"* | *"Unknown device type"*)
      command -v wireguard-go >/dev/null || { echo "this kernel has no WireGuard and there is no wireguard-go"; return; } ;;
  esac
  return 1
}

wg_look() {
  link_state "$2"
  "$1" show "$2" dump 2>/dev/null | wg_peers "$3" "$2"
}

# What a test that was killed left behind goes before anything is changed; a test holds the lock while it lives.
wg_clear() {
  local mark link key
  for mark in /run/vpnctl-proof-*; do
    [ -r "$mark" ] || continue
    link=${mark#/run/vpnctl-proof-}
    read -r key <"$mark" && for tool in wg awg; do "$tool" set "$link" peer "$key" remove 2>/dev/null; done
    rm -f "$mark"
  done
}

wg_cut() {
  local tool=$1 link=$2 key args=()
  shift 2
  [ $# -gt 0 ] || return 0
  "$tool" show "$link" public-key >/dev/null 2>&1 || return 0
  for key; do args+=(peer "$key" remove); done
  printf '%s\0' "${args[@]}" | xargs -0 -n 600 "$tool" set "$link"
}

# Says what of a file is not live as written: the sections of such peers, "-KEY" for a live peer that the file
# does not have, "!KEY" for one that has addresses but should have none, "all" when the interface itself differs.
# stdin: what `show dump` says, an empty line, the file.
wg_difference() {
  awk '
    function differs(one, two,  a, b, i, n, found) {
      n = split(one, a, ", *")
      if (n != split(two, b, ", *")) return 1
      for (i = 1; i <= n; i++) found[a[i]]
      for (i = 1; i <= n; i++) if (!(b[i] in found)) return 1
      return 0
    }
    function peer_ends() {
      if (!key) return
      if (key in ips && ips[key] && !allowed) print "!" key
      if (!(key in ips) || psk != psks[key] || differs(allowed, ips[key])) printf "%s", section
      delete ips[key]
      key = psk = allowed = ""
    }
    !file && !NF { file = 1; next }
    !file { split($0, f, "\t") }
    !file && NR == 1 { private = f[1]; port = f[3]; next }
    !file { psks[f[1]] = f[2] == "(none)" ? "" : f[2]; ips[f[1]] = f[4] == "(none)" ? "" : f[4]; next }
    /^\[/ { peer_ends(); section = $0 "\n"; next }
    !/^[A-Z].* = / { next }
    { section = section $0 "\n"; value = substr($0, index($0, " = ") + 3) }
    /^PublicKey/ { key = value }
    /^PresharedKey/ { psk = value }
    /^AllowedIPs/ { allowed = value }
    /^PrivateKey/ && value != private { print "all" }
    /^ListenPort/ && value != port { print "all" }
    END { peer_ends(); for (key in ips) print "-" key }'
}

# Only what differs is written: a sync of the whole file takes every peer's addresses away and gives them back, and
# drops what other people send meanwhile. New peers come before old ones go, so that an address changes hands at once.
# A file without key or port would strip the interface of both, so it is refused.
wg_sync() {
  local tool=$1 link=$2 path=$3 mtu=$4 live todo added=yes
  grep -q '^PrivateKey = ' "$path" && grep -q '^ListenPort = ' "$path" || { echo "$path is not whole"; return 1; }
  live=$(set -o pipefail; "$tool" show "$link" dump | head -c 33554432) && todo=$(printf '%s\n\n' "$live" | cat - "$path" | wg_difference) || return 1
  if [ "${todo%%$'\n'*}" = all ]; then
    grep -vE '^(Address|MTU|PreUp|PostUp|PreDown|PostDown|Table) = ' "$path" | "$tool" syncconf "$link" /dev/stdin || return 1
  elif [ -n "$todo" ]; then
    wg_cut "$tool" "$link" $(printf '%s\n' "$todo" | sed -n 's/^!//p') || return 1
    printf '%s\n' "$todo" | grep -v '^[-!]' | "$tool" addconf "$link" /dev/stdin || added=no
    wg_cut "$tool" "$link" $(printf '%s\n' "$todo" | sed -n 's/^-//p') && [ "$added" = yes ] || return 1
  fi
  ip link set dev "$link" mtu "$mtu"
}

# A dump without its keys: the interface's private one goes, whichever line it is on; a preshared key is compared
# with our file's and only named when the file does not know the peer. What is no line of a dump is never repeated.
wg_peers() {
  wg_proof_key "$2"
  awk -F'\t' -v file="$1" -v link="$2" -v ours="${proof:-none}" '
    BEGIN {
      while ((getline line < file) > 0) {
        value = line; sub(/^[^=]*= */, "", value); sub(/[ \r]*$/, "", value)
        if (line ~ /^ *\[/) key = ""
        if (line ~ /^ *PublicKey *=/) { key = value; known[key] = filed[key] = 1; if (psk != "") psks[key] = psk; psk = "" }
        if (line ~ /^ *PresharedKey *=/) { if (key != "") psks[key] = value; else psk = value }
      }
    }
    $1 == ours { next }
    NF == 8 {
      delete filed[$1]
      psk = $2
      if (psk != "(none)" && $1 in known) psk = psk == psks[$1] ? "(same)" : "(other)"
      print "|" $1 "\t" psk "\t(none)\t" $4 "\t" $5 "\t" $6 "\t" $7 "\t" $8
      next
    }
    NF == 4 || NF > 8 { print "|-\t" $2 "\t" $3 "\toff"; next }
    { print "|?" NF }
    END { for (key in filed) print "filed\t" link "\t" key }'
}
