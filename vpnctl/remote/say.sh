# How scripts on a node speak: tab-separated records, and why something failed, without what looks like a key.
no_source=41 no_package=42

say() { local IFS=$tab; echo "$*"; }

# What looks like a key is masked before anything is cut out of a text: half a key would not be recognised.
masked() { LC_ALL=C sed -E 's#[A-Za-z0-9+/]{40,}={0,2}#***#g' <<<"$1"; }

# Reports a failure with the end of what was said, which is where programs give the reason.
fail() {
  local said
  said=$(masked "$3")
  said=${said//[$'\n\t\r']/ }
  [ ${#said} -gt 300 ] && said=${said: -300}
  say failed "$1" "$2" "${4:-}" "$said"
}

# The end of what stdin says, where the reason stands; a flood is read on but not kept, and cut off after 64 MB. What
# may be the rest of a key at the cut is dropped.
at_most() {
  local part='' said='' n=0 cut=
  while IFS= read -r -d '' -N 4096 part || [ -n "$part" ]; do
    [ ${#said} -gt 4096 ] && said=${said: -4096} cut=yes
    said+=$part part=
    [ $((n += 1)) -lt 16384 ] || break
  done
  [ -z "$cut" ] || said=${said##+([A-Za-z0-9+/=])}
  printf %s "$said"
}
