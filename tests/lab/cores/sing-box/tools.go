// Package tools pins the real sing-box for the laboratory: it checks what subscriptions say, and connects.
package tools

import _ "github.com/sagernet/sing-box/cmd/sing-box"
