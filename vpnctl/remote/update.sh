# Brings packages and programs of ours to other versions, and back. say.sh and install.sh stand before it.
# Arguments: what to do, then words; stdin: the plan of `take`, a line each:
#   package NAME VERSION
#   program NAME, then "MACHINE SHA256 URL" each, tabs between them
#   restart UNIT
# stdout: tab-separated records, closed by "end NONCE".
keep=$state/before-update

# Arguments: packages, programs, each in one word. Says what is there and what the server's sources have; and of an
# update that was begun, what it is about: `begun KIND NAME OLD NEW`. Lists that cannot be fetched are as they were.
versions() {
  local each now next word line
  [ ! -d "$keep" ] || say begun
  [ ! -r "$keep/plan" ] || while IFS= read -r line; do say begun "$line"; done <"$keep/plan"
  patiently update >/dev/null
  for each in $1; do
    now=$(dpkg-query -W -f '${Version}' "$each" 2>/dev/null)
    next=$(apt-cache policy "$each" | awk '$1 == "Candidate:" { print $2 }')
    say package "$each" "${now:--}" "${next:--}"
  done
  for each in $2; do
    word=-
    [ ! -r "$state/$each.archive" ] || read -r word <"$state/$each.archive"
    say program "$each" "$word"
  done
}

# What is there is kept first, whole, or nothing is changed: that is the way back. $1: `one-way` where none is asked for.
keep_all() {
  local line verb name then now
  rm -rf "$keep.new" "$keep.old" && mkdir -p "$keep.new" || return 1
  for line in "${plan[@]}"; do
    IFS=$tab read -r verb name then <<<"$line"
    case $verb in
      package)
        now=$(dpkg-query -W -f '${Version}' "$name") || return 1
        (cd "$keep.new" && patiently -o APT::Sandbox::User=root download "$name=$now") || cached "$name" "$now" ||
          if [ "$1" = one-way ]; then echo "$name" >>"$keep.new/lost"; else
            echo "version $now of $name is nowhere to be had any more; --one-way goes on without a way back"
            return "$no_package"
          fi
        echo "package$tab$name$tab$now$tab$then" >>"$keep.new/plan" ;;
      program)
        cp -p "/usr/local/bin/$name" "$state/$name.archive" "$keep.new" || return 1
        echo "program$tab$name$tab$(head -n 1 "$state/$name.archive")$tab-" >>"$keep.new/plan" ;;
      restart) printf '%s\n' "$name" >>"$keep.new/units" ;;
    esac
  done
  sync && mv -T "$keep.new" "$keep"
}

# A package as apt fetched it once.
cached() {
  local file=/var/cache/apt/archives/$1_${2//:/%3a}_$(dpkg-query -W -f '${Architecture}' "$1").deb
  [ -f "$file" ] && cp "$file" "$keep.new"
}

install_all() {
  local line verb name rest wanted=()
  for line in "${plan[@]}"; do
    IFS=$tab read -r verb name rest <<<"$line"
    [ "$verb" != package ] || wanted+=("$name=$rest")
  done
  [ ${#wanted[@]} = 0 ] || patiently -y --no-install-recommends --allow-downgrades "${quiet[@]}" install "${wanted[@]}" || return
  for line in "${plan[@]}"; do
    IFS=$tab read -r verb name rest <<<"$line"
    [ "$verb" != program ] || { IFS=$tab read -r -a builds <<<"$rest"; fetch_program "$name" "${builds[@]}"; } || return
  done
}

restart_all() { [ ! -s "$keep/units" ] || xargs -r systemctl restart <"$keep/units"; }

# What was kept is there again. Run again, the same.
go_back() {
  local debs=("$keep"/*.deb) each name
  [ ! -e "${debs[0]}" ] || patiently -y --no-install-recommends --allow-downgrades "${quiet[@]}" install "${debs[@]}" || return
  for each in "$keep"/*.archive; do
    [ -e "$each" ] || continue
    name=${each##*/} name=${name%.archive}
    cp -p "$keep/$name" "/usr/local/bin/.$name.back" && mv -T "/usr/local/bin/.$name.back" "/usr/local/bin/$name" &&
      cp -p "$each" "$state/$name.archive" || return 1
  done
  sync
  restart_all || return
  [ ! -s "$keep/lost" ] || { echo "there is no way back for $(tr '\n' ' ' <"$keep/lost")"; return 1; }
}

attempt() {
  local said
  if said=$( (trap - PIPE; "${@:2}") 2>&1 </dev/null | at_most; exit "${PIPESTATUS[0]}"); then say did "$1"; else fail "$1" update "$said"; return 1; fi
}

update() {
  local nonce=$1 end=$((SECONDS + 300)) plan=() quiet=(-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold)
  exec 3>&1
  exec 9>/run/vpnctl-update.lock
  flock -n 9 || { say failed lock update '' "another update is under way there"; say end "$nonce"; return; }
  case $2 in
    look) versions "$3" "$4" ;;
    take)
      mapfile -t plan
      { [ -d "$keep" ] || attempt keep keep_all "$3"; } && attempt install install_all && attempt restart restart_all ;;
    back) [ ! -d "$keep" ] || attempt back go_back ;;
    done) [ ! -d "$keep" ] || { mv -T "$keep" "$keep.old" && rm -rf "$keep.old"; } ;;
  esac
  say end "$nonce"
}
