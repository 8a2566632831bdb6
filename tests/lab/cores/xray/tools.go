// Package tools pins the real Xray for the laboratory.
package tools

import _ "github.com/xtls/xray-core/main"
