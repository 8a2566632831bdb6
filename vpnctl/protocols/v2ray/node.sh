# V2Ray's part of the node script: Xray's, for a core that can be told who comes and goes but not be asked who is there
# (4.34). So who is live is what it began with and every change that it took since: it is asked to add again who was added and
# to remove again who was removed, and only what it then says ("already exists", "not found") counts.
v2ray_live() { xray_live "$@"; }
v2ray_up() { xray_up "$@"; }
v2ray_look() { xray_look "$@"; }
v2ray_cut() { xray_cut "$@"; }
v2ray_sync() { xray_sync "$@"; }
v2ray_key() { xray_key "$@"; }
v2ray_shared() { xray_shared "$@"; }
v2ray_clear() { :; }
v2ray_holds() { xray_holds "$@"; }

# Debian's package starts a server of its own, with a port of its own: not where it was not there before us.
v2ray_prepare() { command -v v2ray >/dev/null || systemctl -q mask v2ray.service; }

v2ray_check() { xray_check "$@"; }
v2ray_why() { xray_why "$@"; }

# stdin: a config that notes nobody.
v2ray_test() { v2ray -test -format json -config stdin:; }

v2ray_answers() { v2ctl api --server="unix:///run/vpnctl-$1/api" StatsService.GetSysStats '' 2>/dev/null | grep -q Sys && xray_seen=$(v2ray_users "$1"); }

v2ray_online() { :; }

# Who is live is kept in a folder of root's, by when the core began: it knows nobody from before.
v2ray_people() {
  mkdir -p -m 700 /run/vpnctl-cores
  echo "/run/vpnctl-cores/$1.$(systemctl show -p ExecMainStartTimestampMonotonic --value "$(xray_unit v2ray "$1")").people"
}

v2ray_users() {
  local people
  people=$(v2ray_people "$1")
  if [ ! -e "$people" ]; then
    rm -f "/run/vpnctl-cores/$1".*.people
    sed -n 's/^{"email": "\([^"]*\)", "id": "\([^"]*\)".*/\1\t\2/p' "/run/vpnctl-$1/begun" >"$people"
  fi
  cat "$people"
}

v2ray_traffic() {
  v2ctl api --server="unix:///run/vpnctl-$1/api" StatsService.QueryStats 'pattern: "user>>>" reset: false' 2>/dev/null | awk -F'"' '
    /name:/ { split($2, part, ">>>"); tag = part[2]; way = part[4]; tags[tag] }
    /value:/ { value = $0; gsub(/[^0-9]/, "", value); sum[tag, way] = value }
    END { for (tag in tags) printf "%s\t%.0f\t%.0f\n", tag, sum[tag, "uplink"], sum[tag, "downlink"] }'
}

# Its API is gRPC: a message of protobuf, in hex until it is sent. Field numbers: proxyman/command and proxy/vmess.
v2ray_hex() { printf %s "$1" | od -An -v -tx1 | tr -d ' \n'; }

# A field of bytes: its number, then what is in it, in hex.
v2ray_field() {
  local size=$((${#2} / 2)) said
  said=$(printf %02x $(($1 << 3 | 2)))
  while [ $size -ge 128 ]; do said+=$(printf %02x $((size & 127 | 128))) size=$((size >> 7)); done
  printf '%s%02x%s' "$said" $size "$2"
}

v2ray_typed() { printf %s "$(v2ray_field 1 "$(v2ray_hex "v2ray.core.$1")")$(v2ray_field 2 "$2")"; }

# Tells the core: endpoint, operation. Prints what it answers to that. Nothing secret is an argument of a program.
v2ray_tell() {
  local said
  said=$(v2ray_field 1 "$(v2ray_hex "$1")")$(v2ray_field 2 "$2")
  printf '00%08x%s' $((${#said} / 2)) "$said" | sed 's/../\\x&/g' | { read -r said; printf '%b' "$said"; } |
    curl -sS -m 5 --http2-prior-knowledge --unix-socket "/run/vpnctl-$1/api" -H 'content-type: application/grpc' \
      -H 'te: trailers' --data-binary @- -o /dev/null -D - \
      http://localhost/v2ray.core.app.proxyman.command.HandlerService/AlterInbound 2>/dev/null | tr -d '\r'
}

# stdin: lines of people.
v2ray_add() {
  local name=$1 line tag id kind account user add people
  people=$(v2ray_people "$name")
  kind=$(sed -n "s/^{\"tag\": \"$name\".*\"protocol\": \"\([a-z]*\)\".*/\1/p" "$2")
  while IFS= read -r line; do
    IFS='"' read -r _ _ _ tag _ _ _ id _ <<<"$line"
    account=$(v2ray_field 1 "$(v2ray_hex "$id")")
    [ "$kind" != vmess ] || account+=1a020802
    user=$(v2ray_field 2 "$(v2ray_hex "$tag")")$(v2ray_field 3 "$(v2ray_typed "proxy.$kind.Account" "$account")")
    add=$(v2ray_typed app.proxyman.command.AddUserOperation "$(v2ray_field 1 "$user")")
    v2ray_tell "$name" "$add" >/dev/null
    [[ $(v2ray_tell "$name" "$add") = *"already exists"* ]] && printf '%s\t%s\n' "$tag" "$id" >>"$people"
  done
}

v2ray_remove() {
  local name=$1 tag remove people
  shift
  v2ray_users "$name" >/dev/null
  people=$(v2ray_people "$name")
  for tag; do
    remove=$(v2ray_typed app.proxyman.command.RemoveUserOperation "$(v2ray_field 1 "$(v2ray_hex "$tag")")")
    v2ray_tell "$name" "$remove" >/dev/null
    [[ $(v2ray_tell "$name" "$remove") = *"not found"* ]] || continue
    awk -F'\t' -v gone="$tag" '$1 != gone' "$people" >"$people.new" && mv "$people.new" "$people"
  done
}
