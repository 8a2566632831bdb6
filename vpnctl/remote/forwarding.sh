# Sends one packet of a throw-away peer through the tunnel and watches whether it leaves the node.
# Arguments: tool, interface, port, address of the peer, public key of the server. Prints `ok` or why not.
set -u
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077
tool=$1 link=$2 port=$3 address=$4 server=$5
ns=vpnctl-proof near=vpnctlp0 far=vpnctlp1 tunnel=vpnctlp2
key=$("$tool" genkey) && peer=$(printf %s "$key" | "$tool" pubkey) || { echo "no $tool here"; exit 0; }
clean() {
  "$tool" set "$link" peer "$peer" remove 2>/dev/null
  ip netns pids "$ns" 2>/dev/null | xargs -r kill 2>/dev/null
  ip netns del "$ns" 2>/dev/null
  ip link del "$near" 2>/dev/null
}
trap clean EXIT
ip netns del "$ns" 2>/dev/null; ip link del "$near" 2>/dev/null
leaving() { nft list table inet "vpnctl_$link" | sed -n 's/.*ip saddr .* counter packets \([0-9]*\) .*/\1/p'; }
way=$(ip -4 route show default | head -n 1)
gateway=$(printf '%s' "$way" | sed -n 's/.* via \([0-9.]*\).*/\1/p')
[ -n "$gateway" ] || { echo "the node has no IPv4 default route"; exit 0; }
said=$({
  ip netns add "$ns" && ip link add "$near" type veth peer name "$far" netns "$ns" &&
  ip addr add 169.254.231.1/30 dev "$near" && ip link set "$near" up &&
  ip -n "$ns" addr add 169.254.231.2/30 dev "$far" && ip -n "$ns" link set "$far" up && ip -n "$ns" link set lo up &&
  { ip netns exec "$ns" ip link add "$tunnel" type wireguard 2>/dev/null || ip netns exec "$ns" wireguard-go "$tunnel" >/dev/null 2>&1; } &&
  printf '[Interface]\nPrivateKey = %s\n[Peer]\nPublicKey = %s\nEndpoint = 169.254.231.1:%s\nAllowedIPs = 0.0.0.0/0\n' "$key" "$server" "$port" |
    ip netns exec "$ns" "$tool" setconf "$tunnel" /dev/stdin &&
  ip -n "$ns" addr add "$address/32" dev "$tunnel" && ip -n "$ns" link set "$tunnel" up &&
  ip -n "$ns" route add "$gateway/32" dev "$tunnel" &&
  "$tool" set "$link" peer "$peer" allowed-ips "$address/32"
} 2>&1) || { echo "the test itself failed: $said"; exit 0; }
before=$(leaving)
for _ in 1 2 3 4 5 6 7 8 9 10; do
  ip netns exec "$ns" bash -c "echo vpnctl >/dev/udp/$gateway/9" 2>/dev/null
  sleep 0.2
  [ "$(leaving)" -gt "$before" ] 2>/dev/null && { echo ok; exit 0; }
done
[ -n "$("$tool" show "$link" latest-handshakes | grep -F "$peer" | grep -v '	0$')" ] &&
  echo "the tunnel comes up but packets are dropped on the way out (another firewall on the node?)" ||
  echo "no handshake over the node's own network"
