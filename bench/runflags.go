package bench

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// runOptions are what the arguments of gannet bench run say.
type runOptions struct {
	scenario runEntry
	list     bool
	sizes    sizes
	target   target
	url      string
	prefix   string
	seed     uint64

	warm, length, patience time.Duration
	whole                  bool // an error rather than fewer clients on a small machine

	restart      string // a command that restarts the broker; empty: somebody does it
	restartLimit time.Duration
	json, csv    string
	syscalls     bool // those of the broker are counted

	share  share    // of an agent
	agents []string // addresses; none: this process does it all
	token  []byte   // that it has in common with them; nil: none
	orders []*order // for them
}

// sizes are the numbers of a scenario that flags may change.
type sizes struct {
	connections, publishers, subscribers, messages int
	payload                                        int // bytes
	qos                                            int
	window                                         int
	rate                                           float64 // messages a second, of all publishers together; 0: closed loop
	arrivals                                       string
}

// runArguments are flags as they are written.
type runArguments struct {
	runOptions
	mqtt, user, password     string
	cafile, cert, key        string
	insecure, mine           bool
	source                   string
	pid, dialing             int
	connectRate              float64
	seconds, warmup, patient float64
	agentList, tokenFile     string
	path                     string // of a scenario file; empty: it is one of the catalog

	caText, certText, keyText []byte // what the files of certificates have; nil: none
}

// runOptionsOf reads the arguments of gannet bench run.
func runOptionsOf(args []string, output io.Writer) (*runOptions, error) {
	var a runArguments
	f := newFlags("run", "SCENARIO [flags] [HOST:PORT] loads a broker that runs; SCENARIO is a name of --list or a .yaml file", output)
	a.add(f.FlagSet)
	var words []string
	for rest := args; ; { // flags may stand before, between and behind the words
		if err := f.parseSome(rest); err != nil {
			return nil, err
		}
		if f.NArg() == 0 {
			break
		}
		words, rest = append(words, f.Arg(0)), f.Args()[1:]
	}
	if a.list {
		return &a.runOptions, nil
	}
	if len(words) == 0 || len(words) > 2 {
		return nil, fmt.Errorf("write gannet bench run SCENARIO [flags] [HOST:PORT]; gannet bench run --list has the scenarios")
	}
	if err := a.choose(words[0], f.FlagSet); err != nil {
		return nil, err
	}
	if err := a.settle(); err != nil {
		return nil, err
	}
	address := "127.0.0.1:1883"
	if len(words) == 2 {
		address = words[1]
	}
	if err := a.readCertificates(); err != nil {
		return nil, err
	}
	if err := a.aim(address); err != nil {
		return nil, err
	}
	if err := a.engage(address); err != nil {
		return nil, err
	}
	return &a.runOptions, nil
}

// engage makes the orders for the agents, if there are to be any.
func (a *runArguments) engage(address string) (err error) {
	if a.tokenFile != "" && a.agentList == "" {
		return errors.New("token-file: it is for --agents")
	}
	if a.agentList == "" {
		return nil
	}
	if a.token, err = readToken(a.tokenFile); err != nil {
		return err
	}
	for text := range strings.SplitSeq(a.agentList, ",") {
		text = strings.TrimSpace(text)
		if err := agentAddress(text, a.token); err != nil {
			return fmt.Errorf("agents: %w", err)
		}
		if slices.Contains(a.agents, text) {
			return fmt.Errorf("agents: %s is there twice, and carries out one part of a run at a time", text)
		}
		a.agents = append(a.agents, text)
	}
	if len(a.agents) > agentsMax {
		return fmt.Errorf("agents: %d, more than %d", len(a.agents), agentsMax)
	}
	a.orders, err = a.ordersFor(address, len(a.agents))
	a.target.pid = 0 // the first agent looks
	return err
}

func (a *runArguments) add(f *flag.FlagSet) {
	f.BoolVar(&a.list, "list", false, "print the scenarios and end")
	f.Float64Var(&a.seconds, "seconds", 10, "`S` seconds measured, where the scenario does not end by itself")
	f.Float64Var(&a.warmup, "warm", 2, "`S` seconds before that, of which nothing is reported")
	f.Float64Var(&a.patient, "patience", runPatience.Seconds(), "`S` seconds after which a message that has not come is lost, and a broker that does nothing has failed")
	f.IntVar(&a.sizes.connections, "connections", 0, "`N` clients")
	f.IntVar(&a.sizes.publishers, "publishers", 0, "`N` clients that publish")
	f.IntVar(&a.sizes.subscribers, "subscribers", 0, "`N` clients that subscribe, or Sessions")
	f.IntVar(&a.sizes.messages, "messages", 0, "`N` messages")
	f.IntVar(&a.sizes.payload, "payload", 0, "`BYTES` of each message, at least 16")
	f.IntVar(&a.sizes.qos, "qos", 0, "`0|1|2` of messages and subscriptions")
	f.IntVar(&a.sizes.window, "window", 0, "`N` messages that each publisher may have under way")
	f.Float64Var(&a.sizes.rate, "rate", 0, "`N` messages a second by the clock, of all publishers together, latency from the intended time; 0: closed loop")
	f.StringVar(&a.sizes.arrivals, "arrivals", "", "`uniform|poisson` of the times of sending with --rate")
	f.Float64Var(&a.connectRate, "connect-rate", 0, "`N` connections begun a second; 0: as fast as the broker answers")
	f.IntVar(&a.dialing, "dialing", 0, "`N` clients at most between connecting and CONNACK (default 64, or as the scenario says)")
	f.StringVar(&a.mqtt, "mqtt", "3.1.1", "`3.1.1|5.0` version of the protocol")
	f.StringVar(&a.user, "user", "", "`NAME` of the user; {n} becomes the number of the client")
	f.StringVar(&a.password, "password", "", "`TEXT` of the password; {n} as for --user")
	f.StringVar(&a.cafile, "cafile", "", "`FILE` of certificates to trust, for mqtts:// and wss:// (default: the system's)")
	f.StringVar(&a.cert, "cert", "", "`FILE` of the clients' certificate")
	f.StringVar(&a.key, "key", "", "`FILE` of its key")
	f.BoolVar(&a.insecure, "insecure", false, "trust any certificate")
	f.StringVar(&a.source, "source", "", "`ADDRESSES` to connect from, separated by commas, in turn; a range is spread over (default 127.0.0.0/8 for a broker in it: with one address, free ports get rare and the search for them dear)")
	f.StringVar(&a.prefix, "prefix", "", "`TEXT` before every Client Identifier and topic (default bench-PID: two runs do not meet)")
	f.Uint64Var(&a.seed, "seed", 1, "`N` of what is left to chance")
	f.IntVar(&a.pid, "pid", 0, "`PID` of the broker (default: who listens on the port, of a local one); -1: do not measure it")
	f.BoolVar(&a.syscalls, "syscalls", false, "count the broker's system calls by name, too: as root, and its figures are a little worse for it")
	f.BoolVar(&a.mine, "remote-broker-is-mine", false, "load a broker that is not on a loopback address")
	f.StringVar(&a.restart, "restart", "", "`COMMAND` for /bin/sh that restarts the broker, for the scenario reconnect (default: you do it)")
	f.DurationVar(&a.restartLimit, "restart-limit", 5*time.Minute, "`TIME` for all clients to be back")
	f.StringVar(&a.agentList, "agents", "", "`HOST:PORT,...` of gannet bench agent on other machines, which share the clients and rates; the broker's address is as they see it, and --pid on the first of them")
	f.StringVar(&a.tokenFile, "token-file", "", "`FILE` with the secret that the agents have, too; needed where they are not on a loopback address")
	f.StringVar(&a.json, "json", "", "`FILE` for the result, with the whole distributions")
	f.StringVar(&a.csv, "csv", "", "`FILE` for a line about each second")
}

// parseSome is parse that leaves words to the caller.
func (f flags) parseSome(args []string) error {
	usage := f.Usage
	f.Usage = func() {}
	err := f.Parse(args)
	f.Usage = usage
	if errors.Is(err, flag.ErrHelp) {
		usage()
	}
	return err
}

// choose finds the scenario and takes its sizes where no flag says otherwise.
func (a *runArguments) choose(name string, f *flag.FlagSet) (err error) {
	if strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") {
		if a.scenario, err = fileScenario(name); err != nil {
			return err
		}
		a.path = name
	} else if a.scenario, err = findScenario(name); err != nil {
		return err
	}
	given, defaults := a.sizes, a.scenario.sizes
	a.sizes = defaults
	f.Visit(func(x *flag.Flag) {
		known := true
		switch x.Name {
		case "connections":
			a.sizes.connections, known = given.connections, defaults.connections > 0
		case "publishers":
			a.sizes.publishers, known = given.publishers, defaults.publishers > 0
		case "subscribers":
			a.sizes.subscribers, known = given.subscribers, defaults.subscribers > 0
		case "messages":
			a.sizes.messages, known = given.messages, defaults.messages > 0
		case "payload":
			a.sizes.payload, known = given.payload, defaults.payload > 0
		case "window":
			a.sizes.window, known = given.window, defaults.window > 0
		case "qos":
			a.sizes.qos, known = given.qos, defaults.window > 0
		case "rate":
			a.sizes.rate, known = given.rate, defaults.window > 0
		case "arrivals":
			a.sizes.arrivals, known = given.arrivals, defaults.window > 0
		case "seconds", "warm":
			if a.scenario.phased && err == nil {
				err = fmt.Errorf("%s: the phases of %s say how long they last", x.Name, name)
			}
		case "restart", "restart-limit":
			known = name == "reconnect"
		}
		if !known && err == nil {
			err = fmt.Errorf("%s: the scenario %s has no such number to change", x.Name, name)
		}
	})
	if a.scenario.connectRate > 0 && a.connectRate == 0 {
		a.connectRate = a.scenario.connectRate
	}
	if a.scenario.dialing && a.dialing == 0 {
		a.dialing = a.sizes.connections
	}
	return err
}

// settle judges the numbers.
func (a *runArguments) settle() error {
	s := &a.sizes
	s.arrivals = cmp.Or(s.arrivals, "uniform")
	most := clientsMax
	if a.agentList != "" {
		most *= 1 + strings.Count(a.agentList, ",") // and each judges its share
	}
	usual := &a.scenario.sizes // 0 where the scenario has none, and otherwise there is one at least
	for _, n := range []struct {
		name     string
		value    int
		low, top int
	}{
		{"connections", s.connections, min(1, usual.connections), most}, {"publishers", s.publishers, min(1, usual.publishers), most},
		{"subscribers", s.subscribers, min(1, usual.subscribers), most}, {"messages", s.messages, min(1, usual.messages), tallyMax},
		{"payload", s.payload, min(payloadMin, usual.payload), payloadMax}, {"qos", s.qos, 0, 2},
		{"window", s.window, min(1, usual.window), windowMax}, {"dialing", a.dialing, 0, clientsMax}, {"pid", a.pid, -1, math.MaxInt32},
	} {
		switch {
		case n.name == "payload" && n.value < n.low:
			return fmt.Errorf("payload: %d bytes are fewer than the %d that say who sent it, which it is, and when", n.value, payloadMin)
		case n.value < n.low || n.value > n.top:
			return fmt.Errorf("%s: %d is not from %d to %d", n.name, n.value, n.low, n.top)
		}
	}
	for _, n := range []struct {
		name       string
		value, top float64
	}{
		{"seconds", a.seconds, runMax.Seconds()}, {"patience", a.patient, 3600},
	} {
		if !(n.value >= 0.01 && n.value <= n.top) {
			return fmt.Errorf("%s: %v is not from 0.01 to %v", n.name, n.value, n.top)
		}
	}
	switch {
	case !(a.warmup >= 0 && a.warmup <= 3600):
		return fmt.Errorf("warm: %v is not from 0 to 3600", a.warmup)
	case !(s.rate >= 0 && s.rate <= rateMax):
		return fmt.Errorf("rate: %v is not from 0 to %d", s.rate, rateMax)
	case !slices.Contains(spacingNames[:], s.arrivals):
		return fmt.Errorf("arrivals: %q is neither uniform nor poisson", s.arrivals)
	case a.connectRate != 0 && !(a.connectRate >= 1 && a.connectRate <= 1e6):
		return fmt.Errorf("connect-rate: %v is not from 1 to 1000000", a.connectRate)
	case a.restartLimit <= 0 || a.restartLimit > runMax:
		return fmt.Errorf("restart-limit: %v is not above 0 and up to %v", a.restartLimit, runMax)
	case len(a.prefix) > 100 || strings.ContainsAny(a.prefix, "+#{}\x00"):
		return fmt.Errorf("prefix: %q is longer than 100 bytes or has one of + # { }", a.prefix)
	}
	a.length, a.warm, a.patience = seconds(a.seconds), seconds(a.warmup), seconds(a.patient)
	a.prefix = cmp.Or(a.prefix, "bench-"+strconv.Itoa(os.Getpid()))
	return nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// aim finds the broker, and how to talk to it.
func (a *runArguments) aim(address string) error {
	if !strings.Contains(address, "://") {
		address = "mqtt://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" {
		return fmt.Errorf("%q is no address, such as 127.0.0.1:1883, mqtts://localhost:8883, ws://localhost:8083/mqtt or wss://localhost:8084/mqtt", address)
	}
	ports := map[string]uint16{"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
	port, known := ports[u.Scheme]
	if !known {
		return fmt.Errorf("%q: %s is none of mqtt, mqtts, ws and wss", address, u.Scheme)
	}
	if text := u.Port(); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("%q: the port is not from 1 to 65535", address)
		}
		port = uint16(n)
	}
	host, err := a.resolve(u.Hostname())
	if err != nil {
		return err
	}
	how := &access{user: a.user, password: a.password, prefix: a.prefix + "-", dialing: a.dialing, rate: a.connectRate}
	switch a.mqtt {
	case "3.1.1", "4":
	case "5", "5.0":
		how.version = codec.V5
	default:
		return fmt.Errorf("mqtt: %q is neither 3.1.1 nor 5.0", a.mqtt)
	}
	if a.password != "" && a.user == "" && how.version != codec.V5 {
		return errors.New("password: MQTT 3.1.1 wants a user with it")
	}
	if how.sources, err = sourceAddresses(a.source, host); err != nil {
		return err
	}
	a.target = target{addr: netip.AddrPortFrom(host, port), how: how}
	a.url = u.Scheme + "://" + net.JoinHostPort(u.Hostname(), strconv.Itoa(int(port))) + u.Path
	if err := a.transport(u); err != nil {
		return err
	}
	if a.pid > 0 && a.agentList == "" { // with agents it is the first of them who has it
		if err := readable(a.pid); err != nil {
			return err
		}
		a.target.pid = a.pid
	} else if a.pid == 0 && host.IsLoopback() {
		a.target.pid = listenerOf(a.target.addr, 0)
	}
	if a.syscalls && a.target.pid == 0 && a.agentList == "" { // agents have another view
		return errNoProcess
	}
	return nil
}

// resolve finds the address of a host, and refuses what is not known to be the user's.
func (a *runArguments) resolve(name string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(name)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), startLimit)
		defer cancel()
		found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		if err != nil || len(found) == 0 {
			return addr, fmt.Errorf("%s: %w", name, err)
		}
		slices.SortStableFunc(found, func(a, b netip.Addr) int { return cmp.Compare(a.Unmap().BitLen(), b.Unmap().BitLen()) })
		addr = found[0]
	}
	addr = addr.Unmap()
	if !addr.IsLoopback() && !a.mine {
		return addr, fmt.Errorf("%s is not a loopback address: a load like this is an attack on a broker of others; --remote-broker-is-mine says that it is not", addr)
	}
	return addr, nil
}

// transport makes what lies below MQTT.
func (a *runArguments) transport(u *url.URL) error {
	secure, web := u.Scheme == "mqtts" || u.Scheme == "wss", u.Scheme == "ws" || u.Scheme == "wss"
	if !secure && (a.caText != nil || a.certText != nil || a.keyText != nil || a.insecure) {
		return fmt.Errorf("cafile, cert, key and insecure are for mqtts:// and wss://, and this is %s://", u.Scheme)
	}
	if !web && u.Path != "" && u.Path != "/" {
		return fmt.Errorf("%q: only ws:// and wss:// have a path", u.Path)
	}
	var k *tlsClients
	if secure {
		config, err := a.tlsConfig(u.Hostname())
		if err != nil {
			return err
		}
		k = &tlsClients{config: config}
		a.target.layer = k.layer
	}
	if !web {
		return nil
	}
	w := newWebClients()
	w.host, w.path = u.Host, cmp.Or(u.EscapedPath(), "/mqtt")
	a.target.layer = w.layer
	if secure {
		a.target.layer = func() layer { return newStack(k.layer(), w.layer()) }
	}
	return nil
}

// certificateMax bounds a file of certificates or a key, in bytes.
const certificateMax = 1 << 20

// readCertificates reads the files of certificates.
func (a *runArguments) readCertificates() error {
	if (a.cert == "") != (a.key == "") {
		return errors.New("cert, key: one without the other is of no use")
	}
	for _, f := range []struct {
		name, path string
		text       *[]byte
	}{{"cafile", a.cafile, &a.caText}, {"cert", a.cert, &a.certText}, {"key", a.key, &a.keyText}} {
		if f.path == "" {
			continue
		}
		text, err := os.ReadFile(f.path)
		if err == nil && len(text) > certificateMax {
			err = fmt.Errorf("%s: more than %d bytes", f.path, certificateMax)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		*f.text = append([]byte{}, text...)
	}
	return nil
}

func (a *runArguments) tlsConfig(host string) (*tls.Config, error) {
	config := &tls.Config{ServerName: host, InsecureSkipVerify: a.insecure, MinVersion: tls.VersionTLS12}
	if a.caText != nil {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(a.caText) {
			return nil, errors.New("cafile: it has no certificate in PEM")
		}
	}
	if (a.certText == nil) != (a.keyText == nil) {
		return nil, errors.New("cert, key: one without the other is of no use")
	}
	if a.certText != nil {
		pair, err := tls.X509KeyPair(a.certText, a.keyText)
		if err != nil {
			return nil, fmt.Errorf("cert, key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// sourcesMax bounds the addresses that a range is spread over: each has tens of
// thousands of ports.
const sourcesMax = 256

// sourceAddresses reads a list of addresses and ranges. The first and the last address
// of a range are left out: they may stand for all.
func sourceAddresses(list string, to netip.Addr) (addrs []netip.Addr, err error) {
	switch {
	case list == "" && (!to.Is4() || !to.IsLoopback()):
		return nil, nil
	case list == "":
		list = "127.0.0.0/8"
	}
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		if addr, err := netip.ParseAddr(text); err == nil {
			addrs = append(addrs, addr)
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("source: %q is neither an address nor a range such as 127.0.0.0/8", text)
		}
		addr := p.Masked().Addr()
		for range sourcesMax {
			if addr = addr.Next(); !p.Contains(addr.Next()) {
				break
			}
			addrs = append(addrs, addr)
		}
	}
	for _, addr := range addrs {
		if addr.Is4() != to.Is4() {
			return nil, fmt.Errorf("source: %s cannot connect to %s", addr, to)
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("source: there is no address in %q", list)
	}
	return addrs, nil
}
