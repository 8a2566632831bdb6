//go:build tools

package main

import _ "github.com/amnezia-vpn/amneziawg-go"
