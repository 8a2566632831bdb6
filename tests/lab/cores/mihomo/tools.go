// Package tools pins the real mihomo for the laboratory: a client that is not Xray's own.
package tools

import _ "github.com/metacubex/mihomo"
