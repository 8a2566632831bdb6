# AmneziaWG's part where a path is to be proven: WireGuard's, with a link of its own kind that speaks as the endpoint does.
awg_path() { local kind=amneziawg disguise=/etc/amnezia/amneziawg/$2.conf; wg_path "$@"; }
