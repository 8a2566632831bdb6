// awg for the laboratory: what the node script and awg-quick ask of the real tool, said to a real amneziawg-go by its
// UAPI socket. It is strict about its files, as the real one is. It stands in for amneziawg-tools, which is C and comes
// from no registry; it is no part of the product.
package main

import (
	"bufio"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

const sockets = "/var/run/amneziawg"

var parameters = strings.Fields("jc jmin jmax s1 s2 s3 s4 h1 h2 h3 h4 i1 i2 i3 i4 i5")
var usual = map[string]string{"h1": "1", "h2": "2", "h3": "3", "h4": "4"}

type peer struct {
	key   string
	value map[string]string
	ips   []string
}

type device struct {
	value map[string]string
	peers []*peer
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("usage: awg show|set|setconf|addconf|syncconf|genkey|pubkey")
	}
	switch {
	case args[0] == "--version":
		fmt.Println("amneziawg-tools v1.0.20260618-2 (laboratory)")
	case args[0] == "genkey":
		return genkey()
	case args[0] == "pubkey":
		return pubkey()
	case args[0] == "show" && len(args) == 2 && args[1] == "interfaces":
		return interfaces()
	case args[0] == "show" && len(args) == 3:
		return show(args[1], args[2])
	case args[0] == "set" && len(args) > 2:
		return set(args[1], args[2:])
	case (args[0] == "setconf" || args[0] == "addconf" || args[0] == "syncconf") && len(args) == 3:
		return configure(args[0], args[1], args[2])
	default:
		return fmt.Errorf("Invalid subcommand: `%s'", strings.Join(args, " "))
	}
	return nil
}

func genkey() error {
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return err
	}
	raw[0] &= 248
	raw[31] = raw[31]&127 | 64
	fmt.Println(base64.StdEncoding.EncodeToString(raw))
	return nil
}

func pubkey() error {
	text, err := io.ReadAll(io.LimitReader(os.Stdin, 100))
	if err != nil {
		return err
	}
	public, err := publicOf(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	fmt.Println(public)
	return nil
}

func publicOf(private string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(private)
	if err != nil || len(raw) != 32 {
		return "", errors.New("Key is not the correct length or format")
	}
	key, err := ecdh.X25519().NewPrivateKey(raw)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(key.PublicKey().Bytes()), nil
}

func interfaces() error {
	found, _ := filepath.Glob(sockets + "/*.sock")
	var names []string
	for _, path := range found {
		name := strings.TrimSuffix(filepath.Base(path), ".sock")
		if _, err := os.Stat("/sys/class/net/" + name); err == nil {
			names = append(names, name)
		}
	}
	fmt.Println(strings.Join(names, " "))
	return nil
}

// talk sends a request and returns the answer's lines without its errno, which must be 0.
func talk(link, request string) ([]string, error) {
	if _, err := os.Stat("/sys/class/net/" + link); err != nil {
		return nil, errors.New("Unable to access interface: No such device")
	}
	line, err := net.Dial("unix", sockets+"/"+link+".sock")
	if err != nil {
		return nil, errors.New("Unable to access interface: Protocol not supported")
	}
	defer line.Close()
	if _, err := io.WriteString(line, request+"\n"); err != nil {
		return nil, err
	}
	var lines []string
	reader := bufio.NewScanner(line)
	reader.Buffer(make([]byte, 1<<20), 1<<20)
	for reader.Scan() {
		text := reader.Text()
		if code, ok := strings.CutPrefix(text, "errno="); ok {
			if code != "0" {
				return nil, errors.New("Unable to modify interface: Invalid argument")
			}
			return lines, nil
		}
		lines = append(lines, text)
	}
	return nil, errors.New("Unable to access interface: the answer was cut short")
}

func read(link string) (*device, error) {
	lines, err := talk(link, "get=1\n")
	if err != nil {
		return nil, err
	}
	found := &device{value: map[string]string{}}
	into := found.value
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		switch name {
		case "public_key":
			one := &peer{key: value, value: map[string]string{}}
			found.peers, into = append(found.peers, one), one.value
		case "allowed_ip":
			last := found.peers[len(found.peers)-1]
			last.ips = append(last.ips, value)
		default:
			into[name] = value
		}
	}
	return found, nil
}

func base64Of(hexed string) string {
	raw, err := hex.DecodeString(hexed)
	if err != nil || len(raw) != 32 || strings.Trim(hexed, "0") == "" {
		return "(none)"
	}
	return base64.StdEncoding.EncodeToString(raw)
}

func hexOf(key string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(raw) != 32 {
		return "", fmt.Errorf("Key is not the correct length or format: `%s'", key)
	}
	return hex.EncodeToString(raw), nil
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func show(link, what string) error {
	found, err := read(link)
	if err != nil {
		return err
	}
	private := base64Of(found.value["private_key"])
	public := "(none)"
	if private != "(none)" {
		if public, err = publicOf(private); err != nil {
			return err
		}
	}
	switch what {
	case "public-key":
		fmt.Println(public)
	case "fwmark":
		fmt.Println(mark(found.value["fwmark"]))
	case "listen-port":
		fmt.Println(or(found.value["listen_port"], "0"))
	case "dump":
		row := []string{private, public, or(found.value["listen_port"], "0")}
		for _, name := range parameters {
			row = append(row, or(found.value[name], or(usual[name], map[bool]string{true: "(null)", false: "0"}[name[0] == 'i'])))
		}
		fmt.Println(strings.Join(append(row, mark(found.value["fwmark"])), "\t"))
	}
	for _, one := range found.peers {
		key, psk, ips := base64Of(one.key), base64Of(one.value["preshared_key"]), or(strings.Join(one.ips, ","), "(none)")
		endpoint, seen := or(one.value["endpoint"], "(none)"), or(one.value["last_handshake_time_sec"], "0")
		keepalive := or(one.value["persistent_keepalive_interval"], "0")
		if keepalive == "0" {
			keepalive = "off"
		}
		switch what {
		case "peers":
			fmt.Println(key)
		case "preshared-keys":
			fmt.Printf("%s\t%s\n", key, psk)
		case "endpoints":
			fmt.Printf("%s\t%s\n", key, endpoint)
		case "allowed-ips":
			fmt.Printf("%s\t%s\n", key, strings.ReplaceAll(ips, ",", " "))
		case "latest-handshakes":
			fmt.Printf("%s\t%s\n", key, seen)
		case "transfer":
			fmt.Printf("%s\t%s\t%s\n", key, or(one.value["rx_bytes"], "0"), or(one.value["tx_bytes"], "0"))
		case "dump":
			fmt.Println(strings.Join([]string{key, psk, endpoint, ips, seen, or(one.value["rx_bytes"], "0"),
				or(one.value["tx_bytes"], "0"), keepalive}, "\t"))
		}
	}
	return nil
}

func mark(text string) string {
	if text == "" || text == "0" {
		return "off"
	}
	return text
}

func set(link string, words []string) error {
	var request strings.Builder
	request.WriteString("set=1\n")
	inPeer := false
	for i := 0; i < len(words); i++ {
		next := func() string {
			i++
			if i < len(words) {
				return words[i]
			}
			return ""
		}
		switch words[i] {
		case "fwmark":
			value := next()
			if value == "off" {
				value = "0"
			}
			fmt.Fprintf(&request, "fwmark=%s\n", value)
		case "listen-port":
			fmt.Fprintf(&request, "listen_port=%s\n", next())
		case "peer":
			key, err := hexOf(next())
			if err != nil {
				return err
			}
			inPeer = true
			fmt.Fprintf(&request, "public_key=%s\n", key)
		case "remove":
			request.WriteString("remove=true\n")
		case "allowed-ips":
			request.WriteString("replace_allowed_ips=true\n")
			for _, ip := range strings.Split(next(), ",") {
				if ip != "" {
					fmt.Fprintf(&request, "allowed_ip=%s\n", ip)
				}
			}
		default:
			return fmt.Errorf("Invalid argument: `%s' (in a peer: %v)", words[i], inPeer)
		}
	}
	_, err := talk(link, request.String())
	return err
}

func configure(how, link, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, peers, err := parse(string(text))
	if err != nil {
		return err
	}
	var request strings.Builder
	request.WriteString("set=1\n")
	for _, name := range append([]string{"private_key", "listen_port", "fwmark"}, parameters...) {
		if value, ok := head[name]; ok {
			fmt.Fprintf(&request, "%s=%s\n", name, value)
		}
	}
	if how == "setconf" {
		request.WriteString("replace_peers=true\n")
	}
	wanted := map[string]bool{}
	for _, one := range peers {
		wanted[one.key] = true
		writePeer(&request, one)
	}
	if how == "syncconf" {
		now, err := read(link)
		if err != nil {
			return err
		}
		for _, one := range now.peers {
			if !wanted[one.key] {
				fmt.Fprintf(&request, "public_key=%s\nremove=true\n", one.key)
			}
		}
	}
	_, err = talk(link, request.String())
	return err
}

func writePeer(request *strings.Builder, one *peer) {
	fmt.Fprintf(request, "public_key=%s\nreplace_allowed_ips=true\n", one.key)
	names := make([]string, 0, len(one.value))
	for name := range one.value {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(request, "%s=%s\n", name, one.value[name])
	}
	for _, ip := range one.ips {
		fmt.Fprintf(request, "allowed_ip=%s\n", ip)
	}
}

// parse reads a file as the real tool does: anything that it does not know is an error.
func parse(text string) (map[string]string, []*peer, error) {
	head := map[string]string{}
	var peers []*peer
	section := ""
	for _, line := range strings.Split(text, "\n") {
		whole := strings.TrimSpace(strings.SplitN(line, "#", 2)[0])
		if whole == "" {
			continue
		}
		if lower := strings.ToLower(whole); lower == "[interface]" || lower == "[peer]" {
			if section = lower; section == "[peer]" {
				peers = append(peers, &peer{value: map[string]string{}})
			}
			continue
		}
		name, value, found := strings.Cut(whole, "=")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if !found || section == "" || value == "" && name != "allowedips" {
			return nil, nil, fmt.Errorf("Line unrecognized: `%s'", whole)
		}
		var err error
		if section == "[interface]" {
			err = headLine(head, name, value)
		} else {
			err = peerLine(peers[len(peers)-1], name, value)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	for _, one := range peers {
		if one.key == "" {
			return nil, nil, errors.New("A peer is missing a public key")
		}
	}
	return head, peers, nil
}

func headLine(head map[string]string, name, value string) error {
	for _, each := range parameters {
		if name == each {
			head[name] = value
			return nil
		}
	}
	switch name {
	case "privatekey":
		key, err := hexOf(value)
		head["private_key"] = key
		return err
	case "listenport":
		head["listen_port"] = value
	case "fwmark":
		head["fwmark"] = strings.Replace(value, "off", "0", 1)
	default:
		return fmt.Errorf("Line unrecognized: `%s=%s'", name, value)
	}
	return nil
}

func peerLine(one *peer, name, value string) error {
	var err error
	switch name {
	case "publickey":
		one.key, err = hexOf(value)
	case "presharedkey":
		one.value["preshared_key"], err = hexOf(value)
	case "allowedips":
		for _, ip := range strings.Split(value, ",") {
			if ip = strings.TrimSpace(ip); ip != "" {
				one.ips = append(one.ips, ip)
			}
		}
	case "endpoint":
		where, fail := net.ResolveUDPAddr("udp", value)
		if fail != nil {
			return fail
		}
		one.value["endpoint"] = where.String()
	case "persistentkeepalive":
		one.value["persistent_keepalive_interval"] = strings.Replace(value, "off", "0", 1)
	default:
		return fmt.Errorf("Line unrecognized: `%s=%s'", name, value)
	}
	return err
}
