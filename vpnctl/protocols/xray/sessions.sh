# Who is connected from where, while they are: the core notes every new connection in `access`, in memory. Once a minute
# what is over is forgotten. `kept` has the lines of connections that are older and still open. Arguments: tool, name, port.
run=/run/vpnctl-$2

# Lines of the second file and later whose connection is open; the first lists the other ends of those that are.
still_open() {
  awk '
    function bare(text) { sub(/^(tcp|udp):/, "", text); gsub(/[][]|::ffff:/, "", text); return text }
    FILENAME == "open" { open[bare($4)]; next }
    { for (i = 2; i < NF; i++) if ($i == "accepted" && bare($(i - 1)) in open) { print; break } }' open kept access.1
}

while sleep 60; do
  cd "$run" || continue  # it is made anew when the core begins again
  touch kept
  [ ! -e access.1 ] && mv access access.1 2>/dev/null
  if [ "$1" = xray ]; then
    xray api restartlogger --server="unix://$run/api" >/dev/null
  else
    v2ctl api --server="unix://$run/api" LoggerService.RestartLogger '' >/dev/null
  fi || continue
  sleep 1
  ss -Htn state established "sport = :$3" >open
  still_open >kept.new && mv kept.new kept && rm -f access.1 open
done
