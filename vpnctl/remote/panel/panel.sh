# Sends requests to the panel of this machine, in the order in which they came, and says what was answered.
#
# Before it stand, on stdin, its own length, then: the nonce, the token that must be shown (- for none, . to look only),
# the token to show then, and for each request a line with its length and that many bytes of curl's config format. A line
# "cut PORT NAME..." ends the open connections of clients of an inbound, as far as the panel's core noted them.
# stdout: "token NOW", "clock SECONDS", "reply STATUS LENGTH" and that many bytes for each, "cut PORT LEFT", or
# "cut PORT unknown" where it is not known of every open connection whose it is, "end NONCE". What is secret comes on stdin and goes to curl on its stdin.
# It is preceded by vpnctl/protocols/xray/node.sh, for its filter of connections.
main() {
  export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  umask 077
  trap '' HUP PIPE
  set -u
  state=/var/lib/vpnctl
  local nonce seen fresh size config said status now=-
  IFS= read -r nonce && IFS= read -r seen && IFS= read -r fresh || exit 96
  command -v curl >/dev/null || { printf 'lacks curl\nend %s\n' "$nonce"; return; }

  token() { now=; [ -r "$state/panel-token" ] && IFS= read -r now <"$state/panel-token"; now=${now:--}; }

  # The other ends, as ADDRESS]PORT, of open connections that the core's log gives to these. Arguments: port, log, names.
  held() {
    { printf 'name\t%s\n' "${@:3}"
      ss -Htn state established state close-wait "sport = :$1" 2>/dev/null | sed 's/^/open\t/'
      tail -c 20000000 "$2" 2>/dev/null | sed 's/^/line\t/'
    } | awk -F'\t' '
      function bare(text) { sub(/^(tcp|udp):/, "", text); gsub(/[][]|::ffff:/, "", text); return text }
      $1 == "name" { names[$2] = 1; next }
      $1 == "open" { n = split($2, word, /[ \t]+/); for (i = 1; i <= n; i++) if (word[i] ~ /:[0-9]+$/) open[bare(word[i])] = 1; next }
      { n = split($2, word, " ")
        if (word[n - 1] != "email:") next
        for (i = 2; i < n; i++) if (word[i] == "accepted") {
          from = bare(word[i - 1])
          if (from in open) whose[from] = word[n]
          break } }
      END {
        for (from in open) if (!(from in whose)) { print "?"; break }
        for (from in whose) if (whose[from] in names) { at = from; sub(/:[0-9]+$/, "", at)
          print at "]" substr(from, length(at) + 2) } }'
  }

  # A log tells of a connection a moment after it began, so this looks twice; what is left is counted by looking again.
  cut_off() {
    local port=$1 home=${panel_home:-/usr/local/x-ui} log open wait line
    shift
    log=$(sed -n 's/.*"access": *"\([^"]*\)".*/\1/p' "$home/bin/config.json" 2>/dev/null | head -n 1)
    case $log in
      '' | none) printf 'cut %s unknown\n' "$port"; return ;;
      /*) ;;
      *) log=$home/$log ;;
    esac
    for wait in 0.1 0.1 0.3 0.5 0; do
      open=$(held "$port" "$log" "$@" | grep -v '?')
      [ -z "$open" ] && [ "$wait" != 0.1 ] && break
      [ -z "$open" ] || printf '%s\n' "$open" | xargs -n 40 | while read -r line; do
        ss -K -Htn "( sport = :$port ) and ( $(xray_ends_at $line) )" >/dev/null 2>&1
      done
      sleep "$wait"
    done
    open=$(held "$port" "$log" "$@")
    case $open in
      *'?'*) printf 'cut %s unknown\n' "$port" ;;
      *) printf 'cut %s %s\n' "$port" "$(printf %s "${open:+$open$'\n'}" | wc -l)" ;;
    esac
  }

  token
  if [ "$seen" != . ]; then
    mkdir -p "$state" && exec 9>"$state/panel-lock" || exit 95
    flock -w 15 9 || { printf 'refused busy\ntoken %s\nend %s\n' "$now" "$nonce"; return; }
    token
    [ "$now" = "$seen" ] || { printf 'refused moved\ntoken %s\nend %s\n' "$now" "$nonce"; return; }
    printf '%s\n' "$fresh" >"$state/panel-token.new" && sync "$state/panel-token.new" || exit 95
    mv -f "$state/panel-token.new" "$state/panel-token" && sync "$state" || exit 95
    token
  fi
  printf 'token %s\nclock %s\n' "$now" "$(date +%s)"
  while IFS= read -r size; do
    [ "${size%% *}" != cut ] || { cut_off ${size#cut }; continue; }
    config=$(head -c "$size"; printf .)
    said=$(printf %s "${config%.}" | curl -q -sS -i --http1.1 --max-time 20 -K - 2>/dev/null; printf .%s $?)
    status=${said##*.}
    said=${said%.*}
    printf 'reply %s %s\n%s\n' "$status" "${#said}" "$said"
  done
  printf 'end %s\n' "$nonce"
}
main
