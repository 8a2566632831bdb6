# Xray's part of the node script where a path is to be proven. The site whose face an endpoint borrows must answer, or nobody can
# connect. Then a throw-away person connects as people do, from the node itself, and asks for that site through the core: so
# the endpoint takes people and what they ask for leaves the node. Of XHTTP only the site is tried, of what borrows nothing, nothing.
# Nothing of all this is left behind; `xray_clear` takes away what a killed test left. Says `path NAME 0 CODE`.
xray_path() {
  local tool=$1 name=$2 port=$3 begun=/run/vpnctl-$2/begun target client=
  xray_up "$tool" "$name" || return 0
  target=$(sed -n 's/.*"target": "\([^"]*\)".*/\1/p' "$begun")
  [ -n "$target" ] || return 0
  xray_target "$target" "$(sed -n 's/.*"serverNames": \["\([^"]*\)".*/\1/p' "$begun")" || { say path "$name" 0 target; return; }
  grep -q '"network": "raw"' "$begun" || { say path "$name" 0 ok; return; }
  exec 8>/run/vpnctl.lock
  flock -w 20 8 || { say path "$name" 0 busy; exec 8>&-; return; }
  if xray_asks "$name" "$port" "$begun" "https://$target/"; then say path "$name" 0 ok; else say path "$name" 0 lost; fi
  xray_clear
  exec 8>&-
}

# Whether that page comes to a throw-away person of the endpoint.
xray_asks() {
  local uuid socks=$((20000 + RANDOM % 20000)) public client done=1
  uuid=$(cat /proc/sys/kernel/random/uuid)
  public=$(xray_said "$1" - 's/.*"identity": "\([^"]*\)".*/\1/p' | tr '+/' '-_' | tr -d '=')
  mkdir -p -m 700 /run/vpnctl-cores && : >"/run/vpnctl-cores/$1.proof"
  printf '{"email": "vpnctl-proof", "id": "%s", "flow": "xtls-rprx-vision"}\n' "$uuid" | xray_add "$1" "$3" >/dev/null 2>&1
  # What outlives this script must not hold its lock, nor the connection.
  sed -n 's/.*"serverNames": \["\([^"]*\)"\], "shortIds": \["\([^"]*\)"\].*/\1 \2/p' "$3" | {
    read -r server short
    printf '{"log": {"loglevel": "none"}, "inbounds": [{"listen": "127.0.0.1", "port": %s, "protocol": "socks"}], "outbounds": [{"protocol": "vless", "settings": {"vnext": [{"address": "127.0.0.1", "port": %s, "users": [{"id": "%s", "encryption": "none", "flow": "xtls-rprx-vision"}]}]}, "streamSettings": {"network": "raw", "security": "reality", "realitySettings": {"serverName": "%s", "fingerprint": "chrome", "publicKey": "%s", "shortId": "%s"}}}]}' \
      "$socks" "$2" "$uuid" "$server" "$public" "$short"
  } | timeout 30 xray run -format json -config stdin: >/dev/null 2>&1 3>&- 8>&- 9>&- &
  client=$!
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    sleep 0.2
    curl -sk -o /dev/null --max-time 8 --socks5-hostname "127.0.0.1:$socks" "$4"
    case $? in 0) done=0; break ;; 7) ;; *) break ;; esac  # 7: the client does not listen yet
  done
  kill "$client" 2>/dev/null
  wait "$client" 2>/dev/null
  return $done
}
