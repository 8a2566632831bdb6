# Who is connected from where, while they are: the core notes every new connection in `access`, in memory. Once a minute
# what is over is forgotten. `kept` has addresses and people of connections that are older and still open, without where they
# went. It is in a folder of root's: the core's own belongs to the core. Arguments: tool, name, port.
run=/run/vpnctl-$2 own=/run/vpnctl-cores

# Lines of the files whose connection is open; the first lists the other ends of those that are.
still_open() {
  awk '
    function bare(text) { sub(/^(tcp|udp):/, "", text); gsub(/[][]|::ffff:/, "", text); return text }
    FNR == 1 { file++ }
    file == 1 { for (i = 1; i <= NF; i++) if ($i ~ /:[0-9]+$/) open[bare($i)]; next }
    $(NF - 1) == "email:" { for (i = 2; i < NF; i++) if ($i == "accepted" && bare($(i - 1)) in open) {
      print "from", $(i - 1), "accepted", "email:", $NF; break } }' "$@"
}

mkdir -p -m 700 "$own"
while sleep 60; do
  cd "$run" || continue  # it is made anew when the core begins again
  [ ! -e access.1 ] && mv access access.1 2>/dev/null
  if [ "$1" = xray ]; then
    xray api restartlogger --server="unix://$run/api" >/dev/null
  else
    v2ctl api --server="unix://$run/api" LoggerService.RestartLogger '' >/dev/null
  fi || continue
  sleep 1
  touch "$own/$2.kept"
  { echo; ss -Htn state established state close-wait "sport = :$3"; } >"$own/$2.open"
  still_open "$own/$2.open" "$own/$2.kept" access.1 >"$own/$2.new" && mv "$own/$2.new" "$own/$2.kept" && rm -f access.1 "$own/$2.open"
done
