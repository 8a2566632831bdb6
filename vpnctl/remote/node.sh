# The node script: reads what a node is and, when told to, changes it. It travels over SSH for every
# call and leaves nothing of itself behind. Bash, coreutils, util-linux and systemd only.
#
# stdin: the plan (its length was given), then the bytes of the plan's files in order.
# stdout: tab-separated records, closed by "end NONCE". Peers of a link follow it as "|" lines.
# All of it is one function that is called on the last line, so that a script cut short runs nothing.
main() {
  export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  export DEBIAN_FRONTEND=noninteractive
  umask 077
  trap '' HUP PIPE
  set -u
  state=/var/lib/vpnctl
  tab=$'\t'
  mapfile -t plan < <(head -c "$plan_bytes")
  [ "${plan[-1]:-}" = go ] || { echo "torn"; exit 96; }

  say() { local IFS=$tab; echo "$*"; }

  token() { local now=; [ -r "$state/token" ] && read -r now <"$state/token"; echo "${now:--}"; }

  # Reports a failure with the end of what was said, which is where programs give the reason.
  fail() {
    local said=${3//[$'\n\t']/ }
    [ ${#said} -gt 300 ] && said=${said: -300}
    say failed "$1" "$2" "$said"
  }

  # Runs one step and reports it. The first that fails ends the applying, never the reading afterwards.
  step() {
    local said
    if said=$("${@:3}" 2>&1 </dev/null); then
      say did "$1" "$2"
    else
      fail "$1" "$2" "$said"
      return 1
    fi
  }

  live_keys() { "$1" show "$2" peers 2>/dev/null | sort | sha256sum | cut -d' ' -f1; }

  put_token() {
    mkdir -p "$state" && printf '%s\n' "$1" >"$state/token.new" && sync "$state/token.new" &&
      mv -T "$state/token.new" "$state/token" && sync "$state"
  }

  install_packages() { apt-get -qq update && apt-get -qq -y --no-install-recommends install "$@"; }

  cut_peers() {
    local tool=$1 link=$2 key args=()
    shift 2
    [ $# -gt 0 ] || return 0
    "$tool" show "$link" public-key >/dev/null 2>&1 || return 0
    for key; do args+=(peer "$key" remove); done
    printf '%s\0' "${args[@]}" | xargs -0 -n 600 "$tool" set "$link"
  }

  # A file is staged beside its target with its mode from the first byte. What arrives must be what was sent.
  stage() {
    local path=$1 mode=$2 sum=$3 size=$4
    mkdir -p "${path%/*}" && rm -f "$path.vpnctl-new" &&
      head -c "$size" >"$path.vpnctl-new" && chmod "$mode" "$path.vpnctl-new" || return 1
    [ "$(sha256sum <"$path.vpnctl-new")" = "$sum  -" ] || { echo "checksum differs"; return 1; }
    case $path in
      /etc/vpnctl/*.nft) nft -c -f "$path.vpnctl-new" || return 1 ;;
    esac
    sync "$path.vpnctl-new"
  }

  publish() { mv -T "$1.vpnctl-new" "$1" && sync "${1%/*}"; }

  # Says what of a file is not live as written: the sections of such peers, "-KEY" for a live peer that the file
  # does not have, "!KEY" for one that has addresses but should have none, "all" when the interface itself differs.
  # stdin: what `show dump` says, an empty line, the file.
  difference() {
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
  sync_link() {
    local tool=$1 link=$2 path=$3 mtu=$4 live todo added=yes
    grep -q '^PrivateKey = ' "$path" && grep -q '^ListenPort = ' "$path" || { echo "$path is not whole"; return 1; }
    live=$("$tool" show "$link" dump) && todo=$(printf '%s\n\n' "$live" | cat - "$path" | difference) || return 1
    if [ "${todo%%$'\n'*}" = all ]; then
      grep -vE '^(Address|MTU) = ' "$path" | "$tool" syncconf "$link" /dev/stdin || return 1
    elif [ -n "$todo" ]; then
      cut_peers "$tool" "$link" $(printf '%s\n' "$todo" | sed -n 's/^!//p') || return 1
      printf '%s\n' "$todo" | grep -v '^[-!]' | "$tool" addconf "$link" /dev/stdin || added=no
      cut_peers "$tool" "$link" $(printf '%s\n' "$todo" | sed -n 's/^-//p') && [ "$added" = yes ] || return 1
    fi
    ip link set dev "$link" mtu "$mtu"
  }

  # Brings a unit up for good. A unit that systemd believes to be up while its interface is gone is restarted.
  start_unit() {
    local verb=start link=${1#*@}
    systemctl enable -q "$1" || return 1
    case $1 in
      *-quick@*) [ -e "/sys/class/net/${link%.service}" ] || verb=restart ;;
      vpnctl-firewall@*) verb=restart ;;
    esac
    systemctl reset-failed "$1" 2>/dev/null
    systemctl -q $verb "$1" || { sleep 0.3 && systemctl -q restart "$1"; } || { journalctl -q -n 5 -o cat -u "$1"; return 1; }
  }

  stop_unit() { systemctl disable -q --now "$1" 2>/dev/null || ! systemctl -q is-active "$1"; }

  apply() {
    local line verb a b c d rest size_left
    exec 9>/run/vpnctl.lock
    flock -w 30 9 || { say refused busy; return; }
    for line in "${plan[@]}"; do
      IFS=$tab read -r verb a b c d <<<"$line"
      case $verb in
        expect) [ "$(token)" = "$a" ] || { say refused moved; return; } ;;
        keys) [ "$(live_keys "$a" "$b")" = "$c" ] || { say refused moved; return; } ;;
      esac
    done
    for line in "${plan[@]}"; do
      IFS=$tab read -r verb a b c d <<<"$line"
      case $verb in
        package) step package "$a" install_packages $a || return ;;
        cut) step cut "$b" cut_peers "$a" "$b" $c || return ;;
        file)
          # not through step: the file's bytes come from our own stdin
          local said
          said=$({ stage "$a" "$b" "$c" "$d"; } 2>&1) || {
            rm -f "$a.vpnctl-new"
            fail stage "$a" "$said"
            return
          }
          say did stage "$a" ;;
        fresh) step token new put_token "$a" || return ;;
        publish) step publish "$a" publish "$a" || return ;;
        remove) step remove "$a" rm -f "$a" || return ;;
        reload) step reload units systemctl daemon-reload || return ;;
        sysctl) step sysctl "$a" sysctl -q -p "$a" || return ;;
        start) step start "$a" start_unit "$a" || return ;;
        stop) step stop "$a" stop_unit "$a" || return ;;
        sync) step sync "$b" sync_link "$a" "$b" "$c" "$d" || return ;;
        ufw-open) step ufw "$a" ufw_rules "" "$a" "$b" || return ;;
        ufw-close) step ufw "$a" ufw_rules delete "$a" "$b" || return ;;
      esac
    done
    say applied
  }

  ufw_rules() {
    local undo=$1 link=$2 port=$3
    ufw $undo allow "$port/udp" && ufw route $undo allow in on "$link" && ufw route $undo allow out on "$link"
  }

  facts() {
    local ID= VERSION_ID= policy=
    [ -r /etc/os-release ] && . /etc/os-release
    say fact os "${ID:-?} ${VERSION_ID:-?}"
    say fact systemd "$([ -d /run/systemd/system ] && echo yes || echo no)"
    say fact apt "$(command -v apt-get >/dev/null && echo yes || echo no)"
    say fact ufw "$(grep -qs '^ENABLED=yes' /etc/ufw/ufw.conf && echo yes || echo no)"
    command -v iptables >/dev/null && policy=$(iptables -w 5 -S FORWARD 2>/dev/null | head -n 1)
    say fact forward_policy "${policy##* }"
    say fact docker_chain "$(command -v iptables >/dev/null && iptables -w 5 -S DOCKER-USER >/dev/null 2>&1 && echo yes || echo no)"
  }

  # load, CPUs, memory and what of it is available (kB), disk and inodes used (%), CPU use over a fifth of a second (%).
  health() {
    local load rest word value total=0 free=0 cpus=0 disk inodes before after
    read -r load rest </proc/loadavg
    while read -r word value rest; do
      case $word in MemTotal:) total=$value ;; MemAvailable:) free=$value ;; esac
    done </proc/meminfo
    read -r _ before </proc/stat
    sleep 0.2
    while read -r word rest; do
      case $word in cpu) after=$rest ;; cpu*) cpus=$((cpus + 1)) ;; esac
    done </proc/stat
    disk=$(df -P / | awk 'NR==2 { sub("%", "", $5); print $5 }')
    inodes=$(df -Pi / | awk 'NR==2 { sub("%", "", $5); print ($5 == "-" ? 0 : $5) }')
    say fact health "$load $cpus $total $free ${disk:-0} ${inodes:-0} $(busy "$before" "$after")"
  }

  # Share of time that was not idle (4th number) or waiting for disks (5th) between two lines of /proc/stat.
  busy() {
    local -a one=($1) two=($2)
    local i all=0 idle
    for i in "${!two[@]}"; do all=$((all + two[i] - one[i])); done
    idle=$((two[3] - one[3] + two[4] - one[4]))
    echo $((all > 0 ? 100 * (all - idle) / all : 0))
  }

  # Looking costs few processes: with fifty nodes and one small machine each of them is felt.
  look() {
    local line verb a b c d word files=()
    local -A sums=()
    say vpnctl-node 1
    read -r word </proc/sys/kernel/random/boot_id
    say boot "$word"
    printf 'clock\t%(%s)T\n' -1
    word=-
    [ -r "$state/token" ] && read -r word <"$state/token"
    say token "${word:--}"
    for line in "${plan[@]}"; do
      case $line in look-file*) a=${line#*"$tab"}; [ -e "$a" ] && files+=("$a") ;; esac
    done
    if [ ${#files[@]} -gt 0 ]; then
      while read -r a b; do sums[$b]=$a; say sum "$b" "$a"; done < <(sha256sum -- "${files[@]}")
      stat -c "mode$tab%n$tab%a" -- "${files[@]}"
    fi
    for line in "${plan[@]}"; do
      IFS=$tab read -r verb a b c d <<<"$line"
      case $verb in
        look-unit) [ -e "/etc/systemd/system/multi-user.target.wants/$a" ] && say unit "$a" enabled ;;
        look-package) command -v "$b" >/dev/null && say fact "pkg:$a" yes ;;
        look-sysctl) [ -r "$a" ] && read -r word <"$a" && say fact "sysctl:$a" "$word" ;;
        look-key)
          [ -n "${sums[$b]:-}" ] && [ "${sums[$b]}" != "$c" ] &&
            say fact "key:$b" "$(sed -n 's/^PrivateKey *= *//p' "$b" | "$a" pubkey 2>/dev/null || echo unknown)" ;;
        look-ufw)
          grep -qs "^### tuple ### route:allow .* in_$a" /etc/ufw/user.rules &&
            grep -qs "^### tuple ### allow udp $b " /etc/ufw/user.rules && say fact "ufw:$a" yes ;;
        look-facts) facts ;;
        look-health) health ;;
        look-nft) nft list table inet "vpnctl_$a" 2>/dev/null | grep -q masquerade && say fact "nft:$a" yes ;;
        look-link)
          if [ -e "/sys/class/net/$b" ]; then
            read -r word <"/sys/class/net/$b/mtu"
            read -r c <"/sys/class/net/$b/ifindex"
            say link "$b" "$word" "$c"
            "$a" show "$b" dump 2>&1 | sed "1s/^[^\t]*/-/; s/^/|/"
          else
            say fact udp_ports "$(ss -Hlun 2>/dev/null | awk '{n=split($4,p,":"); print p[n]}' | sort -un | tr '\n' ' ')"
          fi ;;
      esac
    done
  }

  case ${plan[0]} in
    expect*) apply ;;
  esac
  look
  say end "$nonce"
}
main
