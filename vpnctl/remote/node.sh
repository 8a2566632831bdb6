# The node script: reads what a node is and, when told to, changes it. It travels over SSH for every
# call and leaves nothing of itself behind. Bash, coreutils, util-linux, awk, iproute2, systemd, and what it installs.
#
# stdin: the plan (its length was given), then the bytes of the plan's files in order.
# stdout: tab-separated records, closed by "end NONCE". Peers of a link follow it as "|" lines.
# No private key is ever printed, and a preshared key only for a peer that our file does not know.
# All of it is one function that is called on the last line, so that a script cut short runs nothing. Before it stand what
# says things (say.sh), reads the node (look.sh), installs (install.sh), and the parts of the node's protocols (vpnctl/protocols/*/node.sh); their names, as `fragments`, begin their functions:
#   NAME_live TOOL ENDPOINT           the identities that are live, one a line
#   NAME_up TOOL ENDPOINT             whether it runs
#   NAME_look TOOL ENDPOINT FILE      its records: `link` or `served`, then "|" lines, `filed`
#                                     served ENDPOINT EPOCH: runs without an interface; EPOCH is another number when it was
#                                     made anew and its counters began at zero. |WORDS: what the plug-in's `observe` reads,
#                                     secrets only as (same) or (other) than in FILE. filed ENDPOINT ID: in FILE, not live.
#                                     other ENDPOINT NAME: a parameter that is live otherwise than FILE says
#                                     lingering ENDPOINT N: open connections of people who are not live any more
#                                     ends ENDPOINT TIME: when its certificate ends
#   NAME_cut TOOL ENDPOINT ID...      remove these at once
#   NAME_sync TOOL ENDPOINT FILE MTU  make live what the file says; nobody else's session ends
#   NAME_key TOOL FILE                the server's identity in a file
#   NAME_shared TOOL ENDPOINT IDS     `shared` records of these
#   NAME_clear                        what a killed test of packets left goes
#   NAME_why TEXT                     the cause in what a unit said; fails where it is none of its own
#   NAME_check TOOL FILE              whether the program takes that file; only where the plan asks for it
#   NAME_holds TOOL ENDPOINT          where it does not run: whether its port is taken by itself all the same; may be left out
#   NAME_...                          what the plug-in names in place of a program that shows that a package is there
#   NAME_prepare                      before packages are installed; may be left out
main() {
  export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  export DEBIAN_FRONTEND=noninteractive
  umask 077
  trap '' HUP PIPE
  set -u
  shopt -s extglob
  state=/var/lib/vpnctl
  tab=$'\t'
  mapfile -t plan < <(head -c "$plan_bytes")
  fragments=${fragments:-}
  [ "${plan[-1]:-}" = go ] || { echo "torn"; exit 96; }

  token() { local now=; [ -r "$state/token" ] && read -r now <"$state/token"; echo "${now:--}"; }

  # Runs one step and reports it. The first that fails ends the applying, never the reading afterwards. A step that
  # ends with one of these says what is the matter: its source is none, or no source of the server has the package.
  step() {
    local said cause=
    if said=$( (trap - PIPE; "${@:3}") 2>&1 </dev/null | at_most; exit "${PIPESTATUS[0]}"); then
      say did "$1" "$2"
    else
      case $? in "$no_source") cause=source ;; "$no_package") cause=package ;; esac
      fail "$1" "$2" "$said" "$cause"
      return 1
    fi
  }

  put_token() {
    mkdir -p "$state" && printf '%s\n' "$1" >"$state/token.new" && sync "$state/token.new" &&
      mv -T "$state/token.new" "$state/token" && sync "$state"
  }

  # A file arrives beside its target, with its mode from the first byte and a name of this run's own. Nothing is
  # locked meanwhile: a line that stands still must not keep others from the node.
  stage() {
    local path=$1 mode=$2 sum=$3 size=$4 new
    new="$path.vpnctl-$$.$nonce"
    mkdir -p "${path%/*}" && rm -f "$new" &&
      timeout 240 head -c "$size" >"$new" && chmod "$mode" "$new" || return 1
    [ "$(sha256sum <"$new")" = "$sum  -" ] || { echo "checksum differs"; return 1; }
    case $path in
      /etc/vpnctl/*.nft) nft -c -f "$new" || return 1 ;;
    esac
    [ -z "$5" ] || "${5% *}_check" "${5#* }" "$new" </dev/null || return 1
    sync "$new"
  }

  # What uploads that were cut off left behind goes with the next one that arrives.
  publish() {
    local left owner
    mv -T "$1.vpnctl-$$.$nonce" "$1" || return 1
    for left in "$1".vpnctl-*; do  # somebody else's may be on its way: what is left over is nobody's, or old
      [ -e "$left" ] || continue
      owner=${left##*.vpnctl-} owner=${owner%%.*}
      kill -0 "$owner" 2>/dev/null && [ -z "$(find "$left" -mmin +15)" ] || rm -f "$left"
    done
    sync "${1%/*}"
  }

  discard() {
    local line verb a rest
    for line in "${plan[@]}"; do
      IFS=$tab read -r verb a rest <<<"$line"
      [ "$verb" = file ] && rm -f "$a.vpnctl-$$.$nonce"
    done
  }

  # Gives an interface back what carries packets: that it is up, its addresses, the routes to its peers.
  repair_link() {
    local link=$1 addresses=$2 routes=$3 each
    ip link set dev "$link" up || return 1
    for each in $addresses; do ip address replace "$each" dev "$link" || return 1; done
    for each in $routes; do ip route replace "$each" dev "$link" || return 1; done
  }

  # Brings a unit up for good. A unit that systemd believes to be up while its interface is gone is restarted.
  start_unit() {
    local verb=start
    systemctl enable -q "$1" || return 1
    case $2 in
      -) verb=restart ;;
      *) "$2_up" "$3" "$4" || verb=restart ;;
    esac
    systemctl reset-failed "$1" 2>/dev/null
    systemctl -q $verb "$1" || { sleep 0.3 && systemctl -q restart "$1"; } || { why_not "$1" "$2"; return 1; }
  }

  # Why a unit did not start: what its own programs said, without the commands that they echo; systemd's words otherwise.
  why_not() {
    local run said
    run=$(systemctl show -p InvocationID --value "$1")
    said=$(journalctl -q -n 40 -o cat ${run:+_SYSTEMD_INVOCATION_ID=$run} | grep -v '^\[#\]')
    [ "$2" = - ] || { "$2_why" "$said" && return; }
    echo "${said:-$(journalctl -q -n 5 -o cat -u "$1")}"
  }

  stop_unit() { systemctl disable -q --now "$1" 2>/dev/null || ! systemctl -q is-active "$1"; }

  lock() {
    local each
    exec 9>/run/vpnctl.lock
    flock -w 30 9 || { say refused busy; return 1; }
    for each in $fragments; do "${each}_clear"; done
  }

  unlock() { exec 9>&-; }

  # The node is still as it was observed: its token, and the live keys of its links (`seen`, by interface).
  as_observed() {
    local line verb a b c d
    for line in "${plan[@]}"; do
      IFS=$tab read -r verb a b c d <<<"$line"
      case $verb in
        expect) [ "$(token)" = "$a" ] || { say refused moved; return 1; } ;;
        keys) [ "$(live "$a" "$b" "$c")" = "${seen[$c]:-$d}" ] || { say refused moved; return 1; } ;;
      esac
    done
  }

  # Removals first, at once, whatever becomes of the files; then what takes its time, without the lock; then the rest.
  apply() {
    local -A seen=()
    if [[ " ${plan[*]}" = *" cut$tab"* ]]; then
      lock && as_observed && run_steps cut || { unlock; return; }
      unlock
    fi
    run_steps repository package fetch file || { discard; return; }
    lock && as_observed && run_steps fresh publish repair remove reload sysctl start stop sync ufw-open ufw-close &&
      say applied
    discard
    unlock
  }

  # sha256 of the identities that are live, sorted, one a line.
  live() { "$1_live" "$2" "$3" | sort | sha256sum | cut -d' ' -f1; }

  # Runs the steps of these kinds, in the order of the plan.
  run_steps() {
    local line verb a b c d e said
    for line in "${plan[@]}"; do
      IFS=$tab read -r verb a b c d e <<<"$line"
      [[ " $* " = *" $verb "* ]] || continue
      case $verb in
        repository) step repository "$a" add_repository "$a" "$b" "$c" "$d" "$e" || return ;;
        package)
          for e in $fragments; do ! declare -F "${e}_prepare" >/dev/null || "${e}_prepare"; done
          step package "$a" install_packages $a || return ;;
        fetch) step fetch "$a" fetch_program "$a" "$b" "$c" "$d" "$e" || return ;;
        cut)
          step cut "$c" "${a}_cut" "$b" "$c" $d || return
          seen[$c]=$(live "$a" "$b" "$c") ;;
        file)
          # not through step: the file's bytes come from our own stdin
          said=$({ stage "$a" "$b" "$c" "$d" "$e"; } 2>&1) || { fail stage "$a" "$said"; return 1; }
          say did stage "$a" ;;
        fresh) step token new put_token "$a" || return ;;
        publish) step publish "$a" publish "$a" || return ;;
        repair) step repair "$a" repair_link "$a" "$b" "$c" || return ;;
        remove) step remove "$a" rm -f "$a" "$a".vpnctl-* || return ;;
        reload) step reload units systemctl daemon-reload || return ;;
        sysctl) step sysctl "$a" sysctl -q -e -p "$a" || return ;;
        start) step start "$a" start_unit "$a" "$b" "$c" "$d" || return ;;
        stop) step stop "$a" stop_unit "$a" || return ;;
        sync) step sync "$c" "${a}_sync" "$b" "$c" "$d" "$e" || return ;;
        ufw-open) step ufw "$a" ufw_rules "" "$a" "$b" "$c" || return ;;
        ufw-close) step ufw "$a" ufw_rules delete "$a" "$b" "$c" || return ;;
      esac
    done
  }

  # Arguments: nothing or `delete`, the interface or `-`, PORT/TRANSPORT.
  ufw_rules() {
    ufw $1 allow "$4" || return 1
    [ "$3" = - ] || { ufw route $1 allow in on "$3" && ufw route $1 allow out on "$3"; }
  }

  exec 3>&1
  case ${plan[0]} in
    expect*) apply ;;
  esac
  look
  say end "$nonce"
}
main
