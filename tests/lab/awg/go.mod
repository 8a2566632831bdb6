module lab.invalid/awg

go 1.24.4

require github.com/amnezia-vpn/amneziawg-go v0.2.19

require (
	golang.org/x/crypto v0.42.0 // indirect
	golang.org/x/net v0.44.0 // indirect
	golang.org/x/sys v0.36.0 // indirect
)
