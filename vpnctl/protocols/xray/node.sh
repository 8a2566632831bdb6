# Xray's part of the node script. Arguments: the core (xray, v2ray), endpoint, more. A core's own tool is behind the functions
# CORE_answers (which leaves who is live in xray_seen), CORE_users, CORE_traffic, CORE_online, CORE_add, CORE_remove, CORE_test. Each
# call of a tool costs tens of milliseconds, so who is live is asked once and handed on. What a tool says of success proves nothing: it exits
# with 0 when it failed.
xray_unit() { echo "vpnctl-$1@$2.service"; }

# It runs where it answers: what cannot be asked is neither read nor changed. It is asked again, for it may be busy or have
# just begun.
xray_up() {
  local _
  xray_holds "$1" "$2" || return 1
  for _ in 1 2 3; do "$1_answers" "$2" && return 0; sleep 0.3; done
  return 1
}

# Whether it is ours that has its port.
xray_holds() { systemctl -q is-active "$(xray_unit "$1" "$2")"; }

xray_live() { "$1_users" "$2" | cut -f1; }

# The identity in a file of ours.
xray_key() { sed -n 's/^"vpnctl": .*"identity": "\([A-Za-z0-9+/=]*\)".*/\1/p' "$2"; }

# A file without the people in it. The core keeps the file that it began with beside it (`begun`): of that only the people can be
# told anew.
xray_head() { grep -v '^..email' "$1"; }

# What the file that it began with says of the endpoint: name, our file where that one is gone, how to read it.
xray_said() {
  local file=/run/vpnctl-$1/begun
  [ -s "$file" ] || file=$2
  sed -n "/^\"vpnctl\": /$3" "$file"
}

xray_as_begun() { xray_head "$2" | cmp -s - <(xray_head "/run/vpnctl-$1/begun"); }

xray_look() {
  local pid start open users=$xray_seen
  pid=$(systemctl show -p MainPID --value "$(xray_unit "$1" "$2")")
  start=$(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f20)
  say served "$2" "$((start % 1000000000))"
  xray_said "$2" "$3" 's/.*"identity": "\([^"]*\)", "port": \([0-9]*\)}.*/|\1\t\2/p'
  { [ -z "$users" ] || sed 's/^/user\t/' <<<"$users"; "$1_traffic" "$2" | sed 's/^/traffic\t/'; "$1_online" "$2" | sed 's/^/online\t/'; } | xray_people "$2" "$3"
  xray_as_begun "$2" "$3" || say other "$2" settings
  open=$(xray_lingering "$1" "$2" "$(xray_said "$2" "$3" 's/.*"port": \([0-9]*\)}.*/\1/p')" "$users" | grep -c .)
  [ "$open" = 0 ] || say lingering "$2" "$open"
  xray_ends "$2" "$3"
}

# Who is live, with secrets compared with our file's and only named when the file does not know them, whether they have anything
# open, and who is only filed.
xray_people() {
  awk -F'\t' -v file="$2" -v name="$1" -v now="$(date +%s)" '
    BEGIN {
      while ((getline line < file) > 0) if (line ~ /^..email/) { split(line, part, "\""); filed[part[4]] = part[8] }
    }
    $1 == "online" { online[$2]; next }
    $1 == "user" { secret[$2] = $3; next }
    $1 == "traffic" { up[$2] = $3; down[$2] = $4 }
    END {
      for (tag in secret) {
        shown = tag in filed ? (filed[tag] == secret[tag] ? "(same)" : "(other)") : secret[tag]
        printf "|%s\t%s\t%.0f\t%.0f\t%s\n", tag, shown, up[tag], down[tag], tag in online ? now : "-"
      }
      for (tag in filed) if (!(tag in secret)) print "filed\t" name "\t" tag
    }'
}

# When the certificate ends, Unix seconds.
xray_ends() {
  local path end
  path=$(sed -n 's/.*"certificateFile": "\([^"]*\)".*/\1/p' "$2")
  [ -n "$path" ] && command -v openssl >/dev/null || return 0
  end=$(openssl x509 -noout -enddate -in "$path" 2>/dev/null) && say ends "$1" "$(date -d "${end#*=}" +%s)"
}

# The secrets of some people, by tag.
xray_shared() {
  "$1_users" "$2" | awk -F'\t' -v name="$2" -v wanted=" $3 " 'index(wanted, " " $1 " ") { print "shared\t" name "\t" $1 "\t" $2 }'
}

# A test of a path that was killed leaves a person behind, and a mark that says so.
xray_clear() {
  local mark name
  for mark in /run/vpnctl-cores/*.proof; do
    [ -e "$mark" ] || continue
    name=${mark##*/} name=${name%.proof}
    xray_remove "$name" vpnctl-proof >/dev/null 2>&1
    rm -f "$mark"
  done
}

# Whether the core takes a file, before it replaces the one that is there; and, where more than people changed, whether the
# site whose face REALITY borrows is one that can be borrowed.
xray_check() {
  local said target old=${2%.vpnctl-*}
  said=$(sed 's#"access": "[^"]*"#"access": "none"#' "$2" | "$1_test" 2>&1) || { masked "$said" | tail -n 1; return 1; }
  target=$(sed -n 's/.*"target": "\([^"]*\)".*/\1/p' "$2")
  [ -n "$target" ] || return 0
  [ -e "$old" ] && xray_head "$2" | cmp -s - <(xray_head "$old") && return 0
  xray_target "$target" "$(sed -n 's/.*"serverNames": \["\([^"]*\)".*/\1/p' "$2")" || { echo "the site $target does not answer with TLS 1.3 by the name that clients will ask for, so REALITY cannot borrow its face"; return 1; }
}

# Arguments: HOST:PORT, the name that clients ask for.
xray_target() {
  timeout 15 curl -sk -o /dev/null --max-time 12 --tlsv1.3 --connect-to "::$1" "https://$2/"
  case $? in 0 | 52 | 56 | 92) return 0 ;; *) return 1 ;; esac  # what is said behind the handshake does not matter
}

# stdin: a config that notes nobody, for the folder of a core that does not run yet is not there.
xray_test() { xray run -test -format json -config stdin:; }

xray_cut() {
  local tool=$1 name=$2 left
  shift 2
  [ $# -gt 0 ] && xray_up "$tool" "$name" || return 0
  printf '%s\n' "$@" | xargs -n 500 | while read -r line; do "${tool}_remove" "$name" $line; done >/dev/null 2>&1
  left=$("${tool}_users" "$name") || return 0
  xray_hang_up "$tool" "$name" "$left"
}

# Ends the open connections of everybody who is not live any more (third argument: who is), and of nobody else: the core noted which address and port
# each came from. It may write that a moment later than the connection began, so this looks twice. Read again; the
# tool's word is no proof. Whoever is found later, in any look, is `lingering` and ended by the next sync.
xray_hang_up() {
  local tool=$1 name=$2 port open= wait line
  port=$(xray_said "$name" - 's/.*"port": \([0-9]*\)}.*/\1/p')
  for wait in 0.1 0.1 0.3 0.5 0; do
    open=$(xray_lingering "$tool" "$name" "$port" "$3")
    [ -z "$open" ] && [ "$wait" != 0.1 ] && break
    [ -z "$open" ] || printf '%s\n' "$open" | xargs -n 40 | while read -r line; do
      ss -K -Htn "( sport = :$port ) and ( $(xray_ends_at $line) )" >/dev/null 2>&1
    done
    sleep "$wait"
  done
  [ -z "$(xray_lingering "$tool" "$name" "$port" "$3")" ] ||
    { echo "this kernel does not end connections that are open (CONFIG_INET_DIAG_DESTROY): who was cut off keeps them"; return 1; }
}

# A filter of ss for ADDRESS]PORT words. To a socket of both families an IPv4 client has an address of IPv6.
xray_ends_at() {
  local each host or=
  for each; do
    host=${each%]*}
    case $host in
      *.*) host="dst $host or dst [::ffff:$host]" ;;
      *) host="dst [$host]" ;;
    esac
    printf '%s( dport = :%s and ( %s ) )' "$or" "${each##*]}" "$host"
    or=' or '
  done
}

# The other ends, as ADDRESS]PORT, of open connections that the core gave to somebody who is not live. Arguments: tool, name, port,
# who is live.
xray_lingering() {
  local each
  { sed 's/^/live\t/' <<<"$4"
    ss -Htn state established state close-wait "sport = :$3" 2>/dev/null | sed 's/^/open\t/'
    for each in "/run/vpnctl-cores/$2.kept" "/run/vpnctl-$2/access.1" "/run/vpnctl-$2/access"; do
      [ ! -f "$each" ] || sed 's/^/line\t/' "$each"
    done
  } | awk -F'\t' '
    function bare(text) {
      sub(/^(tcp|udp):/, "", text); gsub(/[][]|::ffff:/, "", text)
      return match(text, /:[0-9]+$/) ? substr(text, 1, RSTART - 1) "]" substr(text, RSTART + 1) : text
    }
    $1 == "live" { live[$2]; next }
    { n = split($2, word, " ") }
    $1 == "open" { for (i = 1; i < n; i++) if (word[i] ~ /:[0-9]+$/ && word[i + 1] ~ /:[0-9]+$/) open[bare(word[i + 1])]; next }
    word[n - 1] == "email:" && word[n] != "vpnctl-proof" {
      for (k = 2; k < n; k++) if (word[k] == "accepted") whose[bare(word[k - 1])] = word[n]
    }
    END { for (end in open) if (end in whose && !(whose[end] in live)) print end }'
}

# What the file says of people is told to the running core: who is gone or has another secret first, with all that they
# have open, then who is new. A change of anything else is only taken by a core that begins again.
xray_sync() {
  local tool=$1 name=$2 file=$3 gone users new port
  xray_as_begun "$name" "$file" || { systemctl -q restart "$(xray_unit "$tool" "$name")"; return; }
  xray_up "$tool" "$name" || { echo "the core does not say who is live"; return 1; }
  users=$xray_seen
  gone=$(xray_differing "$file" gone <<<"$users")
  port=$(xray_said "$name" "$file" 's/.*"port": \([0-9]*\)}.*/\1/p')
  if [ -n "$gone" ]; then
    xray_cut "$tool" "$name" $gone && users=$("${tool}_users" "$name") || return 1
  elif [ -n "$(xray_lingering "$tool" "$name" "$port" "$users")" ]; then
    xray_hang_up "$tool" "$name" "$users" || return 1
  fi
  new=$(xray_differing "$file" new <<<"$users")
  [ -z "$new" ] || "${tool}_add" "$name" "$file" <<<"$new" >/dev/null 2>&1
}

# stdin: who is live. Says who must go, or the lines of the file that are not live as written.
xray_differing() {
  awk -F'\t' -v file="$1" -v what="$2" '
    { live[$1] = $2 }
    END {
      while ((getline line < file) > 0) {
        if (line !~ /^..email/) continue
        split(line, part, "\"")
        wanted[part[4]] = part[8]
        if (what == "new" && live[part[4]] != part[8]) { sub(/,$/, "", line); print line }
      }
      if (what == "gone") for (tag in live) if (wanted[tag] != live[tag]) print tag
    }'
}

# Why it does not run, where what was said tells it: the core's last words.
xray_why() {
  case $1 in
    *"address already in use"*) echo "something else listens on that port" ;;
    *"Failed to start"* | *"failed to"*) masked "$1" | grep -i 'fail' | tail -n 1 ;;
    *) return 1 ;;
  esac
}

xray_api() { local verb=$1 name=$2; shift 2; xray api "$verb" --server="unix:///run/vpnctl-$name/api" "$@" 2>/dev/null; }

xray_answers() { xray_seen=$(xray_users "$1"); }

# Who has a connection open; an older core does not tell.
xray_online() { xray_api statsgetallonlineusers "$1" | sed -n 's/.*user>>>\(.*\)>>>online".*/\1/p'; }

xray_users() {
  xray_api inbounduser "$1" -tag="$1" | awk -F'"' '  # fails where nothing was said: that is no empty list
    $2 == "id" || $2 == "password" || $2 == "key" { secret = $4 }
    $2 == "email" { if ($4 != "vpnctl-nobody" && $4 != "vpnctl-proof") print $4 "\t" secret; secret = "" }
    END { exit NR == 0 }'
}

xray_traffic() {
  xray_api statsquery "$1" -pattern 'user>>>' | awk -F'"' '
    $2 == "name" { split($4, part, ">>>"); tag = part[2]; way = part[4]; tags[tag] }
    $2 == "value" { value = $3; gsub(/[^0-9]/, "", value); sum[tag, way] = value }
    END { for (tag in tags) printf "%s\t%.0f\t%.0f\n", tag, sum[tag, "uplink"], sum[tag, "downlink"] }'
}

xray_remove() { local name=$1; shift; xray_api rmu "$name" -tag="$name" "$@"; }

# stdin: lines of people. The tool wants the whole inbound around them.
xray_add() {
  { echo '{"inbounds": ['; sed -n "/^{\"tag\": \"$1\"/p" "$2"; sed '$!s/$/,/'; sed -n '/^\]/{p;q}' "$2"; echo ']}'; } |
    xray_api adu "$1" stdin:
}
