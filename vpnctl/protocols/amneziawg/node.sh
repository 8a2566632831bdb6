# AmneziaWG's part of the node script: WireGuard's, whose functions take the tool `awg`, and the parameters of packets.
awg_live() { wg_live "$@"; }
awg_up() { wg_up "$@"; }
awg_cut() { wg_cut "$@"; }
awg_key() { wg_key "$@"; }
awg_shared() { wg_shared "$@"; }
awg_clear() { wg_clear; }

# Whether something here makes its links, or no package could: a container has its host's kernel.
awg_links() {
  command -v amneziawg-go >/dev/null || [ -d /sys/module/amneziawg ] || modinfo amneziawg >/dev/null 2>&1 || systemd-detect-virt -qc
}

# Why it does not come up, where what was said tells it.
awg_why() {
  case $1 in
    *"Unknown device type"* | *"Missing WireGuard"* | *"Protocol not supported"*)
      command -v amneziawg-go >/dev/null ||
        { echo "this kernel has no AmneziaWG and there is no amneziawg-go"; return; } ;;
  esac
  return 1
}

awg_look() {
  local name
  wg_look "$@"
  for name in $(awg_other "$@"); do say other "$2" "$name"; done
}

# The names of parameters that are live otherwise than the file says, in lower case. How many columns a dump has tells the
# generation of the tool: 13 of 1.0, 22 of 1.5, 20 of 2.0, 27 of 3.0, 29 of 3.1. What the tool calls unset is as in plain
# WireGuard, and what a file of 1.0 has not must be zero where the tool knows it.
awg_other() {
  "$1" show "$2" dump 2>/dev/null | head -n 1 | awk -F'\t' -v file="$3" '
    BEGIN {
      while ((getline line < file) > 0) {
        if (line ~ /^\[Peer\]/) break
        if (line ~ /^(Jc|Jmin|Jmax|S[1-4]|H[1-4]|[A-Z][A-Za-z]*(ProtectionKey|Addition|Time|Timeout|Attempts|Trailers|Cookies)) = /) {
          split(line, part, " = "); want[tolower(part[1])] = part[2] }
      }
    }
    {
      said = NF < 20 || NF == 22 ? "jc jmin jmax s1 s2 h1 h2 h3 h4" : "jc jmin jmax s1 s2 s3 s4 h1 h2 h3 h4"
      if (NF >= 27) said = said " i1 i2 i3 i4 i5 headerprotectionkey contentpaddingaddition rekeyaftertime rekeytimeout rejectaftertime keepalivetimeout maxhandshakeattempts"
      if (NF >= 29) said = said " randomtrailers disablecookies"
      n = split(said, names, " ")
      for (i = 1; i <= n; i++) {
        live[names[i]] = $(3 + i)
        if ($(3 + i) == "(null)" && names[i] !~ /^i/) live[names[i]] = names[i] ~ /^h/ ? substr(names[i], 2) : 0
      }
      for (i = 1; i <= n; i++) if (names[i] in want && want[names[i]] != live[names[i]]) print names[i]
      for (name in want) if (!(name in live) && want[name] != 0 && want[name] != "off") print name
      for (i = 3; i <= 4; i++) if (("s" i) in live && !(("s" i) in want) && live["s" i] != 0) print "s" i
    }'
}

# The file as the tool takes it; what a file of 1.0 has not is said to be zero to a tool that knows it.
awg_whole() {
  local zero=
  case $("$1" show "$2" dump 2>/dev/null | head -n 1 | awk -F'\t' '{ print NF }') in
    20 | 2[3-9] | [3-9]*) grep -q '^S3 = ' "$3" || zero='S3 = 0\nS4 = 0\n' ;;
  esac
  grep -vE '^(Address|MTU) = ' "$3" | awk -v zero="$zero" '{ print } /^ListenPort = / { printf "%s", zero }'
}

# Whether the tools here, and what carries the packets, take such parameters: tried on a link that nobody uses and read back,
# before anything is applied. An interface that has them already took them. What is not there yet is installed later.
awg_check() {
  local name=${2##*/} link=vpnctl-try said=
  name=${name%%.conf*}
  command -v "$1" >/dev/null || return 0
  [ -e "/sys/class/net/$name" ] && [ -z "$(awg_other "$1" "$name" "$2")" ] && return 0
  ip link del "$link" 2>/dev/null
  ip link add "$link" type amneziawg 2>/dev/null ||
    { command -v amneziawg-go >/dev/null && amneziawg-go "$link" >/dev/null 2>&1 3>&- 8>&- 9>&-; } || return 0
  said=$(sed '/^\[Peer\]/,$d; /^Address/d; /^MTU/d; s/^ListenPort = .*/ListenPort = 0/' "$2" | "$1" setconf "$link" /dev/stdin 2>&1)
  set -- "$1" "$2" "$(awg_other "$1" "$link" "$2" | tr '\n' ' ')"
  ip link del "$link" 2>/dev/null
  [ -n "$3" ] || return 0
  name=$(sed -n 's/.*unrecognized: .\([A-Za-z0-9]*\).*/\1/p' <<<"$said" | head -n 1)
  if [ -n "$name" ]; then
    echo "the tools of AmneziaWG on this server do not know $name: they are of an older generation"
  else
    echo "the AmneziaWG of this server did not take ${3% }: its kernel module or amneziawg-go is of an older generation than its tools"
  fi
  return 1
}

# Parameters are set with the whole file and not one by one: a tool keeps those that a file leaves out, and some forget
# those that an update does not name. Whether they took is read again afterwards; a tool that succeeds proves nothing.
awg_sync() {
  if [ -n "$(awg_other "$1" "$2" "$3")" ]; then
    grep -q '^PrivateKey = ' "$3" && grep -q '^ListenPort = ' "$3" || { echo "$3 is not whole"; return 1; }
    awg_whole "$1" "$2" "$3" | "$1" syncconf "$2" /dev/stdin || return 1
  fi
  wg_sync "$@"
}
