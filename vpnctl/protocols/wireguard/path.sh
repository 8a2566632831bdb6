# WireGuard's part of the node script where a path is to be proven: does a packet of a peer leave the node, and does the answer
# reach the peer? A throw-away peer in a network namespace of the node shakes hands over a link of the node's own and
# opens a TCP connection, first to a second namespace, then to the node's gateway. Nothing listens there: the refusal
# that comes back is the answer. Counters behind every other forward chain tell where a packet was lost; a firewall
# that refuses in its own name would otherwise look like an answer. Nothing of all this is left behind.
#
# `kind` and `disguise` are set where a protocol builds on this one: the kind of link, and the file with its parameters.
# Arguments: tool, interface, port, "KEY ADDRESS4|- ADDRESS6|-". Says `path INTERFACE FAMILY CODE`.
wg_path() {
  local tool=$1 link=$2 port=$3 server four six key peer mark=/run/vpnctl-proof-$2 said
  [ -e "/sys/class/net/$link" ] || return
  read -r server four six <<<"$4"
  exec 8>/run/vpnctl.lock
  flock -w 20 8 || { say path "$link" - busy; exec 8>&-; return; }
  wg_path_clear
  key=$("$tool" genkey) && peer=$("$tool" pubkey <<<"$key") || { say path "$link" - setup; exec 8>&-; return; }
  echo "$peer" >"$mark"
  [ "$(cat /proc/sys/net/ipv6/conf/all/disable_ipv6 /proc/sys/net/ipv6/conf/default/disable_ipv6 2>/dev/null | tr -d '\n')" = 00 ] || six=-
  said=$(wg_path_build 2>&1 </dev/null)  # not as a condition: there, bash would go on after a step that failed
  if [ $? -eq 0 ]; then
    if [ "$four" = - ] || wg_path_try 4; then
      [ "$six" = - ] || wg_path_try 6
    fi
  else
    say path "$link" - setup "$(said=$(masked "$said"); said=${said//[$'\n\t\r']/ }; echo "${said: -200}")"
  fi
  wg_path_clear
  exec 8>&-
}

wg_path_clear() {
  local left each
  [ -r "$mark" ] && read -r left <"$mark" && "$tool" set "$link" peer "$left" remove 2>/dev/null
  rm -f "$mark"
  for each in vpnctl-proof vpnctl-echo; do
    [ -e "/run/netns/$each" ] || continue
    ip netns pids "$each" 2>/dev/null | xargs -r kill 2>/dev/null
    ip netns del "$each" 2>/dev/null
  done
  nft delete table inet vpnctl_proof 2>/dev/null
  for each in vpnctlp0 vpnctlp3; do [ ! -e "/sys/class/net/$each" ] || ip link del "$each" 2>/dev/null; done
}

wg_path_build() {
  set -e
  ip netns add vpnctl-proof
  ip netns add vpnctl-echo
  ip link add vpnctlp0 type veth peer name vpnctlp1 netns vpnctl-proof
  ip link add vpnctlp3 type veth peer name vpnctlp4 netns vpnctl-echo
  wg_path_ends vpnctlp0 vpnctlp1 vpnctl-proof 231
  wg_path_ends vpnctlp3 vpnctlp4 vpnctl-echo 232
  ip -n vpnctl-echo route add default via 169.254.232.1
  [ "$six" = - ] || ip -n vpnctl-echo route add default via fd76:706e:232::1
  # What outlives this script must not hold its lock, nor the connection.
  ip -n vpnctl-proof link add vpnctlp2 type "${kind:-wireguard}" 2>/dev/null ||
    ip netns exec vpnctl-proof "${kind:-wireguard}-go" vpnctlp2 >/dev/null 2>&1 3>&- 8>&- 9>&-
  printf '[Interface]\nPrivateKey = %s\n%s\n[Peer]\nPublicKey = %s\nEndpoint = 169.254.231.1:%s\nAllowedIPs = 0.0.0.0/0, ::/0\n' \
    "$key" "$([ -z "${disguise:-}" ] || grep -E '^(Jc|Jmin|Jmax|S[1-4]|H[1-4]|HeaderProtectionKey|ContentPaddingAddition|RandomTrailers) = ' "$disguise")" "$server" "$port" | ip netns exec vpnctl-proof "$tool" setconf vpnctlp2 /dev/stdin
  # The node must know the peer before the peer's end comes up: what the kernel sends there by itself shakes hands at
  # once, and a first message that is not answered is repeated only after five seconds.
  local ips=
  [ "$four" = - ] || ips=$four/32
  [ "$six" = - ] || ips=$ips${ips:+,}$six/128
  "$tool" set "$link" peer "$peer" allowed-ips "$ips"
  ip -n vpnctl-proof link set vpnctlp2 up
  [ "$four" = - ] || ip -n vpnctl-proof addr add "$four/32" dev vpnctlp2
  [ "$six" = - ] || ip -n vpnctl-proof addr add "$six/128" dev vpnctlp2 nodad
  [ "$four" = - ] || ip -n vpnctl-proof route add default dev vpnctlp2
  [ "$six" = - ] || ip -n vpnctl-proof -6 route add default dev vpnctlp2
  nft -f - <<END
table inet vpnctl_proof {
  chain heard { type filter hook prerouting priority -350; policy accept; }
  chain seen {
    type filter hook forward priority 1000; policy accept;
$([ "$four" = - ] || printf '    iifname "%s" ip saddr %s counter comment "out4"\n    oifname "%s" ip daddr %s counter comment "back4"\n' "$link" "$four" "$link" "$four")
$([ "$six" = - ] || printf '    iifname "%s" ip6 saddr %s counter comment "out6"\n    oifname "%s" ip6 daddr %s counter comment "back6"\n' "$link" "$six" "$link" "$six")
  }
}
END
}

wg_path_ends() {
  ip addr add "169.254.$4.1/30" dev "$1"
  ip -n "$3" addr add "169.254.$4.2/30" dev "$2"
  if [ "$six" != - ]; then
    ip addr add "fd76:706e:$4::1/126" dev "$1" nodad
    ip -n "$3" addr add "fd76:706e:$4::2/126" dev "$2" nodad
  fi
  ip link set "$1" up
  ip -n "$3" link set "$2" up
  ip -n "$3" link set lo up
}

wg_path_count() { nft list table inet vpnctl_proof 2>/dev/null | sed -n "s/.*counter packets \([0-9]*\) .*\"$1\".*/\1/p"; }

# Whether the other side answers at all: a refusal is an answer, silence is not.
wg_path_answers() {
  local said
  said=$(ip netns exec vpnctl-proof timeout "$2" bash -c "exec 3<>/dev/tcp/$1/9" 2>&1)
  [ $? -eq 0 ] || [[ $said = *refused* ]]
}

# What became of a connection to the node's gateway within $1 seconds. Many a gateway is silent, so the first wait is
# short; but a busy node may need longer for the first packet than that, so no verdict but "ok" rests on it.
wg_path_outside() {
  local out back
  out=$(wg_path_count "out$family") back=$(wg_path_count "back$family")
  wg_path_answers "$outside" "$1" || true
  if [ "$(wg_path_count "out$family")" = "$out" ]; then
    echo out
  elif [ "$(wg_path_count "heard$family")" != 0 ] && [ "$(wg_path_count "back$family")" = "$back" ]; then
    echo back
  else
    echo ok
  fi
}

wg_path_try() {
  [ -n "$(ip -"$1" route show default)" ] || return 0
  local family=$1 inside=169.254.232.2 outside code=ok word
  [ "$family" = 4 ] || inside=fd76:706e:232::2
  outside=$(ip -"$family" route show default | sed -n '1s/.* via \([0-9a-f.:]*\) .*/\1/p')
  case $outside in fe80:*) outside= ;; esac
  wg_path_answers "$inside" 7 || code=lost
  if [ "$(wg_path_count "out$family")" = 0 ]; then
    code=out
    [ -n "$("$tool" show "$link" latest-handshakes | grep -F "$peer" | grep -v '	0$')" ] || code=handshake
  elif [ "$(wg_path_count "back$family")" = 0 ]; then
    code=back
  elif [ "$code" = ok ] && [ -n "$outside" ]; then
    word=ip
    [ "$family" = 4 ] || word=ip6
    nft add rule inet vpnctl_proof heard "$word" saddr "$outside" tcp sport 9 counter comment "\"heard$family\""
    code=$(wg_path_outside 1)
    [ "$code" = ok ] || code=$(wg_path_outside 7)
  fi
  say path "$link" "$family" "$code"
  [ "$code" != handshake ]  # without one the other family is not worth waiting for
}
