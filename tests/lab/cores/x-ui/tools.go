//go:build tools

package tools

import _ "github.com/mhsanaei/3x-ui/v2"
