# Reading what a node is: the part of the node script that changes nothing. `look` reads what the plan asks for.
# Whether a program is there; a part of this script may have a function of that name that finds out.
installed() { case $(type -t "$1") in function) "$1" ;; *) command -v "$1" >/dev/null ;; esac; }

facts() {
  local ID= VERSION_ID=
  [ -r /etc/os-release ] && . /etc/os-release
  say fact os "${ID:-?} ${VERSION_ID:-?}"
  say fact systemd "$([ -d /run/systemd/system ] && echo yes || echo no)"
  say fact apt "$(command -v apt-get >/dev/null && echo yes || echo no)"
  say fact ufw "$(grep -qs '^ENABLED=yes' /etc/ufw/ufw.conf && echo yes || echo no)"
}

# The ways out of the node, the networks that its other interfaces have, and what its firewalls do with packets that
# are forwarded or come in: chains with a hook, and every rule with a verdict. Tables of our own are left out.
ways() {
  say fact iptables "$(command -v iptables >/dev/null && echo yes || echo no)"
  local family word dev how address rest main
  for family in 4 6; do
    main=
    while read -r word dev how address rest; do
      case $word in
        */*) [[ " $dev $how $address $rest" =~ \ dev\ ([^ ]+) ]] && say net "${BASH_REMATCH[1]}" "$word" ;;
        *:*:*) ;;  # a route to one host
        *:) say net "$dev" "$address" ;;
        unreachable | blackhole | prohibit) [ "$dev" != default ] || main=${main:-none} ;;
        default)
          [ -z "$main" ] && [[ " $dev $how $address $rest" =~ \ dev\ ([^ ]+) ]] && main=${BASH_REMATCH[1]} &&
            read -r word <"/sys/class/net/$main/mtu" && say way "$family" "$main" "$word" ;;
      esac
    done < <(ip -o -$family -batch - 2>/dev/null <<<$'address show\nroute show')
  done
  if [ -r /etc/ld.so.preload ]; then
    while read -r word rest; do
      [[ $word = /* && $word != *\$* && ! -e $word ]] && say stale "$word"
    done < <(tr -s ' :\t' '\n' </etc/ld.so.preload)
  fi
  { nft -t list ruleset || nft list ruleset; } 2>/dev/null | awk '
    /^table / { ours = ""; if (sub(/^vpnctl_/, "", $3)) ours = $3; else print "nft\t" $1 " " $2 " " $3; next }
    ours != "" { if (/masquerade/) print "fact\tnft:" ours "\tyes"; next }
    n > 3000 { next }
    /^\tchain / { print "nft\tchain " $2; next }
    / hook (forward|input) / || /(accept|drop|reject|jump|goto|return|queue)/ { gsub(/\t/, " "); print "nft\t" $0; n++ }'
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

# An interface as packets meet it: MTU, index, whether it is up, its addresses, the routes to it.
link_state() {
  local mtu index flags word rest
  read -r mtu <"/sys/class/net/$1/mtu"
  read -r index <"/sys/class/net/$1/ifindex"
  read -r flags <"/sys/class/net/$1/flags"
  say link "$1" "$mtu" "$index" "$((flags & 1))"
  while read -r word _ _ rest _; do
    case $word in
      fe80:*) ;;
      *:*:*) say route "$1" "$word" ;;
      *:) [[ $rest = fe80:* ]] || say addr "$1" "$rest" ;;
      *) say route "$1" "$word" ;;
    esac
  done < <(for word in 4 6; do ip -o -$word -batch - 2>/dev/null <<<"address show dev $1"$'\n'"route show dev $1"; done)
}

# The ports on which something listens there (udp, tcp).
ports() { say fact "$1_ports" "$(ss -Hln"${1:0:1}" 2>/dev/null | awk '{n=split($4,p,":"); print p[n]}' | sort -un | tr '\n' ' ')"; }

# Looking costs few processes: with fifty nodes and one small machine each of them is felt.
look() {
  local line verb a b c d e word files=()
  local -A sums=()
  say vpnctl-node 1
  read -r word </proc/sys/kernel/random/boot_id
  say boot "$word"
  printf 'clock\t%(%s)T\n' -1
  word=-
  [ -r "$state/token" ] && read -r word <"$state/token"
  say token "${word:--}"
  a=1 b=1
  [ -r /proc/sys/net/ipv6/conf/all/disable_ipv6 ] && read -r a </proc/sys/net/ipv6/conf/all/disable_ipv6
  [ -r /proc/sys/net/ipv6/conf/default/disable_ipv6 ] && read -r b </proc/sys/net/ipv6/conf/default/disable_ipv6
  [ "$a$b" = 00 ] || say fact ipv6 off
  for line in "${plan[@]}"; do
    case $line in look-file*) a=${line#*"$tab"}; [ -e "$a" ] && files+=("$a") ;; esac
  done
  if [ ${#files[@]} -gt 0 ]; then
    while read -r a b; do sums[$b]=$a; say sum "$b" "$a"; done < <(sha256sum -- "${files[@]}")
    stat -c "mode$tab%n$tab%a" -- "${files[@]}"
  fi
  for line in "${plan[@]}"; do
    IFS=$tab read -r verb a b c d e <<<"$line"
    case $verb in
      look-unit) [ -e "/etc/systemd/system/multi-user.target.wants/$a" ] && say unit "$a" enabled ;;
      look-program)
        [ -x "/usr/local/bin/$b" ] && [ -r "$state/$b.archive" ] && read -r word <"$state/$b.archive" &&
          { [[ " $c " = *" $word "* ]] && say fact "pkg:$a" yes || say fact "pkg:$a" no; } ;;
      look-package) installed "$b" && say fact "pkg:$a" yes ;;
      look-sysctl) [ -r "$a" ] && read -r word <"$a" && say fact "sysctl:$a" "$word" ;;
      look-key)
        [ -n "${sums[$c]:-}" ] && [ "${sums[$c]}" != "$d" ] && say fact "key:$c" "$("${a}_key" "$b" "$c" || echo unknown)" ;;
      look-ufw)
        { [ "$b" = - ] || grep -qs "^### tuple ### route:allow .* in_$b" /etc/ufw/user.rules; } &&
          grep -qs "^### tuple ### allow ${c#*/} ${c%/*} " /etc/ufw/user.rules && say fact "ufw:$a" yes ;;
      look-facts) facts ;;
      look-health) health ;;
      look-ways) ways ;;
      look-shared) "${a}_shared" "$b" "$c" "$d" ;;
      look-path) "${a}_path" "$b" "$c" "$d" "$e" ;;
      look-endpoint)
        if "${a}_up" "$b" "$c"; then
          "${a}_look" "$b" "$c" "$d"
        elif ! { declare -F "${a}_holds" >/dev/null && "${a}_holds" "$b" "$c"; }; then
          ports "$e"
        fi ;;
    esac
  done
}
