# Xray's part of the node script. Arguments: the core (xray, v2ray), endpoint, more. A core's own tool is behind the four
# functions CORE_users, CORE_traffic, CORE_add, CORE_remove. What a tool says of success proves nothing: it exits with 0 when it failed.
xray_unit() { echo "vpnctl-$1@$2.service"; }

xray_up() { systemctl -q is-active "$(xray_unit "$1" "$2")"; }

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
  local pid start
  pid=$(systemctl show -p MainPID --value "$(xray_unit "$1" "$2")")
  start=$(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f20)
  say served "$2" "$((start % 1000000000))"
  xray_said "$2" "$3" 's/.*"identity": "\([^"]*\)", "port": \([0-9]*\)}.*/|\1\t\2/p'
  { "$1_users" "$2" | sed 's/^/user\t/'; "$1_traffic" "$2" | sed 's/^/traffic\t/'; } | xray_people "$2" "$3"
  xray_as_begun "$2" "$3" || say other "$2" settings
  xray_ends "$2" "$3"
}

# Who is live, with secrets compared with our file's and only named when the file does not know them, and who is only filed.
xray_people() {
  awk -F'\t' -v file="$2" -v name="$1" '
    BEGIN {
      while ((getline line < file) > 0) if (line ~ /^..email/) { split(line, part, "\""); filed[part[4]] = part[8] }
    }
    $1 == "user" { secret[$2] = $3; next }
    $1 == "traffic" { up[$2] = $3; down[$2] = $4 }
    END {
      for (tag in secret) {
        shown = tag in filed ? (filed[tag] == secret[tag] ? "(same)" : "(other)") : secret[tag]
        print "|" tag "\t" shown "\t" up[tag] + 0 "\t" down[tag] + 0
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
  for mark in /run/vpnctl-*/proof; do
    [ -e "$mark" ] || continue
    name=${mark#/run/vpnctl-} name=${name%/proof}
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
  xray_target "$target" || { echo "the site $target does not answer with TLS 1.3 from here, so REALITY cannot borrow its face"; return 1; }
}

xray_target() { timeout 15 xray tls ping "$1" 2>&1 | grep -q '^TLS Version: *TLS 1\.3'; }

# stdin: a config that notes nobody, for the folder of a core that does not run yet is not there.
xray_test() { xray run -test -format json -config stdin:; }

xray_cut() {
  local tool=$1 name=$2
  shift 2
  [ $# -gt 0 ] && xray_up "$tool" "$name" || return 0
  printf '%s\n' "$@" | xargs -n 500 | while read -r line; do "${tool}_remove" "$name" $line; done >/dev/null 2>&1
  xray_hang_up "$tool" "$name" "$@"
}

# Ends the open connections of these people and of nobody else: the core noted which address and port each came from. It
# may write that a moment later than the connection began, so this looks twice. Read again; the tool's word is no proof.
xray_hang_up() {
  local tool=$1 name=$2 port open= wait line
  shift 2
  port=$(xray_said "$name" - 's/.*"port": \([0-9]*\)}.*/\1/p')
  for wait in 0.1 0.1 0.3 0.5 0; do
    open=$(xray_sessions "$name" "$port" "$*")
    [ -z "$open" ] && [ "$wait" != 0.1 ] && break
    [ -z "$open" ] || printf '%s\n' "$open" | xargs -n 40 | while read -r line; do
      ss -K -Htn state established "( sport = :$port ) and ( $(xray_ends_at $line) )" >/dev/null 2>&1
    done
    sleep "$wait"
  done
  [ -z "$open" ] || { echo "this kernel does not end connections that are open (CONFIG_INET_DIAG_DESTROY): who was cut off keeps them"; return 1; }
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

# The other ends, as ADDRESS]PORT, of the open connections of these people.
xray_sessions() {
  ss -Htn state established "sport = :$2" 2>/dev/null | awk -v tags=" $3 " -v run="/run/vpnctl-$1" '
    function bare(text) {
      sub(/^(tcp|udp):/, "", text); gsub(/[][]|::ffff:/, "", text)
      return match(text, /:[0-9]+$/) ? substr(text, 1, RSTART - 1) "]" substr(text, RSTART + 1) : text
    }
    BEGIN {
      for (i = split("kept access.1 access", files, " "); i > 0; i--)
        while ((getline line < (run "/" files[i])) > 0) {
          n = split(line, word, " ")
          if (word[n - 1] != "email:" || !index(tags, " " word[n] " ")) continue
          for (k = 2; k < n; k++) if (word[k] == "accepted") theirs[bare(word[k - 1])]
        }
    }
    bare($4) in theirs { print bare($4) }'
}

# What the file says of people is told to the running core: who is gone or has another secret first, with all that they
# have open, then who is new. A change of anything else is only taken by a core that begins again, and one that does not
# answer cannot be told anything.
xray_sync() {
  local tool=$1 name=$2 file=$3 gone
  xray_as_begun "$name" "$file" && "${tool}_answers" "$name" || { systemctl -q restart "$(xray_unit "$tool" "$name")"; return; }
  gone=$("${tool}_users" "$name" | xray_differing "$file" gone)
  xray_cut "$tool" "$name" $gone || return 1
  [ -z "$("${tool}_users" "$name" | xray_differing "$file" new)" ] || "${tool}_users" "$name" | xray_differing "$file" new | "${tool}_add" "$name" "$file" >/dev/null 2>&1
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

xray_answers() { xray_api statssys "$1" | grep -q Uptime; }

xray_users() {
  xray_api inbounduser "$1" -tag="$1" | awk -F'"' '
    $2 == "id" || $2 == "password" || $2 == "key" { secret = $4 }
    $2 == "email" { if ($4 != "vpnctl-nobody") print $4 "\t" secret; secret = "" }'
}

xray_traffic() {
  xray_api statsquery "$1" -pattern 'user>>>' | awk -F'"' '
    $2 == "name" { split($4, part, ">>>"); tag = part[2]; way = part[4]; tags[tag] }
    $2 == "value" { value = $3; gsub(/[^0-9]/, "", value); sum[tag, way] = value }
    END { for (tag in tags) print tag "\t" sum[tag, "uplink"] + 0 "\t" sum[tag, "downlink"] + 0 }'
}

xray_remove() { local name=$1; shift; xray_api rmu "$name" -tag="$name" "$@"; }

# stdin: lines of people. The tool wants the whole inbound around them.
xray_add() {
  { echo '{"inbounds": ['; sed -n "/^{\"tag\": \"$1\"/p" "$2"; sed '$!s/$/,/'; sed -n '/^\]/{p;q}' "$2"; echo ']}'; } |
    xray_api adu "$1" stdin:
}
